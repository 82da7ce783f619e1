"""The progress of a backfill: the tutorial's line, and a bar for a range of days."""

import os
import sys
from collections import Counter

from tqdm import tqdm

# How the classic line counts Airflow 3's task instance states; None is "not looked at yet".
WAITING = {None, "scheduled", "up_for_retry", "up_for_reschedule", "deferred", "awaiting_input"}
RUNNING = {"queued", "running", "restarting"}
FAILED = {"failed", "upstream_failed"}

BAR = "   {desc} |{bar}|"  # how tqdm is to write it


def finished(run):
    """Return whether a metadata_db.Run has come to its end, good or bad."""
    return run.state in ("success", "failed")


def progress_line(runs):
    """Return the `[backfill progress]` line for metadata_db.Runs, as Airflow 1 and 2 printed it.

    deadlocked: the unfinished tasks of a DAG run that Airflow gave up on although no task of it
    failed, since none of them can ever start.
    """
    states = Counter()
    deadlocked = 0
    for run in runs:
        of_run = Counter(state for state, _ in run.tasks.values())
        states += of_run
        if run.state == "failed" and not FAILED & of_run.keys():
            deadlocked += sum(of_run[state] for state in WAITING)

    def count(names):
        return sum(states[name] for name in names)

    return (
        f"INFO - [backfill progress] | finished run {sum(map(finished, runs))} of {len(runs)}"
        f" | tasks waiting: {count(WAITING)} | succeeded: {states['success']}"
        f" | running: {count(RUNNING)} | failed: {count(FAILED)} | skipped: {states['skipped']}"
        f" | deadlocked: {deadlocked} | not ready: {states[None]}"
    )


def progress_bar(runs):
    """Return a tqdm for the tasks of these runs, which shows itself for a range on a terminal.

    It shows no rate and no time left until advance() sees a DAG run end: runs go side by side, so
    at first many tasks end at once, and then none for long.
    """
    no_bar = len(runs) == 1 or os.environ.get("V")  # the servers' logs would run through it
    return tqdm(
        total=sum(len(run.tasks) for run in runs),
        disable=True if no_bar else None,  # None: where there is no terminal
        unit=" tasks",
        bar_format=BAR,
        smoothing=0,  # the mean rate, for the same reason
        leave=False,
        file=sys.stdout,
        dynamic_ncols=True,
    )


def advance(bar, runs):
    """Bring a progress_bar up to date."""
    states = [state for run in runs for state, _ in run.tasks.values()]
    bar.n = len(states) - sum(state in WAITING | RUNNING for state in states)
    if any(map(finished, runs)):
        bar.bar_format = BAR + " {rate_noinv_fmt}, {remaining} left"
    text = f"{bar.n} of {len(states)} tasks, {sum(map(finished, runs))} of {len(runs)} DAG runs"
    if failed := sum(map(FAILED.__contains__, states)):
        text += f", failed: {failed}"
    bar.set_description_str(text, refresh=False)
    bar.refresh()
