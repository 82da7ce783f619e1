"""The progress of a backfill: the tutorial's line, and a bar for a range of days."""

import os
import re
import sys
import time
from collections import Counter

from tqdm import tqdm

from airflow_sandbox.waiting import fitted, is_terminal, status_line

# How the classic line counts Airflow 3's task instance states; None is "not looked at yet".
WAITING = {None, "scheduled", "up_for_retry", "up_for_reschedule", "deferred", "awaiting_input"}
RUNNING = {"queued", "running", "restarting"}
FAILED = {"failed", "upstream_failed"}

LINE = re.compile(r"\[backfill progress\] \| (.*)")  # what progress_line() returns
BAR = "   {desc} |{bar}|"  # how tqdm is to write a bar


def finished(run):
    """Return whether a metadata_db.Run has come to its end, good or bad."""
    return run.state in ("success", "failed")


def succeeded(run):
    """Return whether a metadata_db.Run and each of its task instances succeeded or was skipped."""
    good = {"success", "skipped"}
    return run.state == "success" and all(ti.state in good for ti in run.tasks.values())


def progress_line(runs, deadlock=False):
    """Return the `[backfill progress]` line for metadata_db.Runs, as Airflow 1 and 2 printed it.

    deadlock: whether nothing that is left can ever run. As in Airflow 2, what is left is then
    counted as deadlocked and not ready, and as waiting no more. So is what is left of a DAG run
    that Airflow gave up on although no task of it failed.
    """
    states = Counter()
    deadlocked = 0
    for run in runs:
        of_run = Counter(ti.state for ti in run.tasks.values())
        gave_up = run.state == "failed" and not FAILED & of_run.keys()
        if gave_up or (deadlock and not finished(run)):
            for state in WAITING:
                deadlocked += of_run.pop(state, 0)
        states += of_run

    def count(names):
        return sum(states[name] for name in names)

    return (
        f"INFO - [backfill progress] | finished run {sum(map(finished, runs))} of {len(runs)}"
        f" | tasks waiting: {count(WAITING)} | succeeded: {states['success']}"
        f" | running: {count(RUNNING)} | failed: {count(FAILED)} | skipped: {states['skipped']}"
        f" | deadlocked: {deadlocked} | not ready: {states[None] + deadlocked}"
    )


class Progress:
    """A context that shows how far a backfill is.

    It prints the progress line whenever that changes, and on a terminal, what is running for how
    long. For a range of days on a terminal it shows a bar instead, and the line at the end.
    runs: a list of metadata_db.Run, as they are at first.
    """

    def __init__(self, runs):
        self._verbose = bool(os.environ.get("V"))  # the servers' logs would run through the rest
        self._bar = tqdm(
            total=sum(len(run.tasks) for run in runs),
            disable=len(runs) == 1 or self._verbose or not is_terminal(),
            unit=" tasks",
            bar_format=BAR,
            smoothing=0,  # the mean rate: runs go side by side, so many tasks end at once
            leave=False,
            file=sys.stdout,
            dynamic_ncols=True,
        )
        self._has_bar = not self._bar.disable
        self._line, self._looks, self._changed_at = None, 0, time.monotonic()

    def __enter__(self):
        self._status = status_line()
        self._show = self._status.__enter__()
        return self

    def __exit__(self, *exception):
        self._status.__exit__(*exception)
        self._bar.close()
        if self._has_bar and self._line:
            print(fitted(self._line))

    def say(self, text=None):
        """Print a text above what is shown; without one, only make room for somebody else's."""
        self._show()
        self._bar.clear()
        if text is not None:
            print(text)

    def update(self, line, runs):
        """Show the present progress line of the runs; return whether it has changed."""
        changed = line != self._line
        if changed:
            self._line, self._changed_at = line, time.monotonic()
            if not self._has_bar:
                self.say(fitted(line))
        if not self._has_bar:
            self._show_what_runs(runs)
        elif changed or self._looks % 10 == 0:
            self._advance(runs)
        self._looks += 1
        return changed

    def _show_what_runs(self, runs):
        seconds = int(time.monotonic() - self._changed_at)
        names = [
            f"{name_of(key)} of {run.logical_date}"
            for run in runs
            for key, ti in run.tasks.items()
            if ti.state in RUNNING
        ]
        if names and seconds > 1 and not self._verbose:
            more = f" and {len(names) - 1} more" if names[1:] else ""
            self._show(f"   running: {names[0]}{more} ({seconds} s)")

    def _advance(self, runs):
        states = [ti.state for run in runs for ti in run.tasks.values()]
        self._bar.total = len(states)  # a mapped task may have become many
        self._bar.n = len(states) - sum(state in WAITING | RUNNING for state in states)
        if any(map(finished, runs)):  # before that, the rate says nothing
            self._bar.bar_format = BAR + " {rate_noinv_fmt}, {remaining} left"
        text = f"{self._bar.n} of {len(states)} tasks"
        text += f", {sum(map(finished, runs))} of {len(runs)} DAG runs"
        if failed := sum(map(FAILED.__contains__, states)):
            text += f", failed: {failed}"
        self._bar.set_description_str(text, refresh=False)
        self._bar.refresh()


def name_of(key):
    """Return how the task instance of a metadata_db.Key is called: its task, and its index."""
    return key.task_id if key.index < 0 else f"{key.task_id}[{key.index}]"
