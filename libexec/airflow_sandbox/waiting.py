"""For those that wait: ask without standing still, and show on a terminal that time passes.

It keeps to Python 3.7, for Airflow 1.10.
"""

import contextlib
import sys
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


@contextlib.contextmanager
def status_line():
    """Yield a function that shows a text as a terminal's last line, in place of the one before.

    Without a text, and at the end, there is none. Where there is no terminal, nothing is shown.
    """
    shown = ""

    def show(text=""):
        nonlocal shown
        if text != shown and sys.stdout.isatty():
            print(f"\r\033[K{text}", end="", flush=True)
            shown = text

    try:
        yield show
    finally:
        show()
