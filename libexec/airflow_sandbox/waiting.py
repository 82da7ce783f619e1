"""For those that wait: ask without standing still, and show on a terminal that time passes.

It keeps to Python 3.7, for Airflow 1.10.
"""

import contextlib
import os
import re
import shutil
import sys
import textwrap
import threading
import time

TICK = 0.1  # seconds between an answer and the next question


class Asking:
    """A context in which something is asked again and again in the background.

    One answer of a server that starts can take many seconds. ask: a function without arguments.
    answer: what it returned last; None before that.
    """

    def __init__(self, ask):
        self._ask, self._ended, self.answer = ask, False, None

    def __enter__(self):
        # A daemon, so that a question that is never answered keeps nobody from ending.
        threading.Thread(target=self._run, daemon=True).start()
        return self

    def __exit__(self, *exception):
        self._ended = True

    def _run(self):
        while not self._ended:
            self.answer = self._ask()
            time.sleep(TICK)


def is_terminal():
    """Return whether somebody watches what is printed: a terminal, and no CI job that has one."""
    return sys.stdout.isatty() and os.environ.get("CI") != "true"


def red(text):
    """Return a text in red on a terminal that is to have colours."""
    return f"\033[31m{text}\033[0m" if is_terminal() and not os.environ.get("NO_COLOR") else text


def fitted(line):
    """Return a progress line; on a terminal, wrapped between two counts, with failures in red."""
    if is_terminal():
        columns = shutil.get_terminal_size().columns
        line = line.replace(" ", "\xa0").replace("|\xa0", "| ")
        line = "\n".join(textwrap.wrap(line, columns)).replace("\xa0", " ")
        line = re.sub(r"failed: [1-9]\d*", lambda found: red(found[0]), line)
    return line


@contextlib.contextmanager
def status_line():
    """Yield a function that shows a text as a terminal's last line, in place of the one before.

    Without a text, and at the end, there is none. Where there is no terminal, nothing is shown.
    """
    shown = ""

    def show(text=""):
        nonlocal shown
        if text != shown and is_terminal():
            print(f"\r\033[K{text}", end="", flush=True)
            shown = text

    try:
        yield show
    finally:
        show()
