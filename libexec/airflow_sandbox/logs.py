"""What a log of Airflow's or a traceback says, with the place in the learner's own file.

It keeps to Python 3.7, for Airflow 1.10.
"""

import json
import os
import re
from pathlib import Path

from airflow_sandbox.hints import hint
from airflow_sandbox.paths import shown

LOG_TAIL = 15  # lines shown of a log
LONGEST = 2000  # characters shown of one of them: some tasks print megabytes without a line's end
FRAME = re.compile(r'^ +File "(.+)", line (\d+)(?:,? in (.+))?$', re.MULTILINE)
CRASH = re.compile(r"^Fatal Python error: .+", re.MULTILINE)  # of faulthandler, deepest frame first
MESSAGE = re.compile(r"^\S.*", re.MULTILINE | re.DOTALL)
NOT_OURS = re.compile(r"(^|/)\.sandbox/|/lib/python3|^<")  # Airflow and Python, on any machine
ODD_NAME = re.compile(r"unusual_prefix_[0-9a-f]+_")  # Airflow's name of a DAG file's module


def place_of(frames):
    """Return the deepest frame that is in a file of the learner's, as `dags/sales.py:12, in load`.

    frames: (file, line, function) as in a traceback, the deepest one last. Empty if none is.
    """
    for file, line, function in reversed(frames):
        file = os.path.realpath(file)
        if not NOT_OURS.search(shown(file)):
            inside = f", in {function}" if function not in ("", "<module>") else ""
            return f"{shown(file)}:{line}{inside}"
    return ""


def explain(traceback):
    """Return the place in the learner's files and the whole message, in a line, of a traceback."""
    frames = list(FRAME.finditer(traceback))
    # The message is what follows the last frame and its source, which is indented.
    rest = MESSAGE.search(traceback, frames[-1].end() if frames else 0)
    message = " ".join(rest.group().split()) if rest else "it can't be read"
    message = ODD_NAME.sub("", message)
    return place_of([frame.groups("") for frame in frames]), message + hint(message, "; ")


def import_error(file, text):
    """Return in a line what is wrong with a DAG file: its place, or its name, and the message.

    text: a traceback, or the reason.
    """
    own, (place, message) = shown(file), explain(text)
    is_elsewhere = place and not place.startswith(f"{own}:")
    return ": ".join([own, place, message] if is_elsewhere else [place or own, message])


def log_folder(home, dag_id):
    """Return the folder of the logs of a DAG's tasks, in an AIRFLOW_HOME or where all machines
    have theirs."""
    base = os.environ.get("AIRFLOW__LOGGING__BASE_LOG_FOLDER", str(home / "logs"))
    return Path(base, f"dag_id={dag_id}")


def entries(log):
    """Yield (text, the log's entry as a dict) of each line of a log file of Airflow's; the entry is
    {} if the line is none."""
    for line in log.read_text(errors="replace").splitlines():
        try:
            entry = json.loads(line)
            yield str(entry["event"]), entry
        except (ValueError, KeyError, TypeError):
            yield line, {}  # a line of another kind


def printed(log):
    """Return the lines that a task has printed, of its log; not what Airflow says of its work.

    The value that it returned is the last one.
    """
    found, last = [], []
    for text, entry in entries(log):
        if text.startswith("::group::Pre Execute"):
            found, last = [], []  # the log of an earlier run, which was deleted, goes on
        errors = entry.get("error_detail") or []
        if entry.get("filename") not in ("task_runner.py", "secrets_masker.py") or errors:
            # It comes another way than what is printed, and so may come first.
            lines = last if text.startswith("Done. Returned value was: ") else found
            lines += text.splitlines() or [""]
            for error in errors:
                lines += exception_text(error).splitlines()
    return found + last


def tail(log, lines=LOG_TAIL):
    """Return the last lines of a log file as text; Airflow's task logs hold one JSON a line.

    The exception of a Python task is whole, with its place, however long it is; of a crash in a
    library there is the place alone. What helps, if that is known, follows.
    """
    shown_lines, start = [], None
    for line, entry in entries(log):
        errors = entry.get("error_detail") or []
        # "::group::" and the like are for the web page, which folds what is between them.
        shown_lines += [part for part in line.splitlines() if not part.startswith("::")]
        if errors:
            start = len(shown_lines)
        for error in errors:
            shown_lines += exception_text(error).splitlines()
    whole = "\n".join(shown_lines)
    crash = CRASH.search(whole)
    if crash:
        # faulthandler writes an ö as its escape \xf6.
        rest = whole[crash.end() :].encode("ascii", "backslashreplace")
        frames = FRAME.finditer(rest.decode("unicode_escape", "replace"))
        place = place_of([frame.groups("") for frame in frames][::-1])
        shown_lines, start = [(f"{place}: " if place else "") + crash.group()], 0
    last = max(0, len(shown_lines) - lines)
    last = last if start is None else min(start, last)
    text = "\n".join("     | " + shortened(line) for line in shown_lines[last:])
    return text + hint(text, "\n     ")


def shortened(line):
    """Return a line of a log, or if it is very long, its beginning and how long it is."""
    return line if len(line) <= LONGEST else f"{line[:LONGEST]} ... ({len(line)} characters)"


def exception_text(error):
    """Return one exception of a task log's error_detail as `place: type: message`."""
    frames = [(frame["filename"], frame["lineno"], frame["name"]) for frame in error["frames"]]
    if error.get("syntax_error"):
        frames.append((error["syntax_error"]["filename"], error["syntax_error"]["lineno"], ""))
    place = place_of(frames)
    return (f"{place}: " if place else "") + f"{error['exc_type']}: {error['exc_value']}"
