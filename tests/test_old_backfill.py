"""The backfills of the older editions, when they are interrupted."""

import os
import signal
import time

import pytest
from support.guarantees import guarantee
from support.lines import all_succeeded, progress


@guarantee(
    "Interruption",
    "a backfill of editions 2 and 1.10, interrupted or killed",
    (
        "its processes end; what it left unfinished is marked as failed, or the next would wait for"
        " it without end"
    ),
)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_backfill_leaves_nothing_and_the_next_one_runs(finished, number):
    make = finished.start("make", "backfill", "DATE=2024-06-02")
    # The first task has ended, the second one is about to run.
    next(line for line in make.stdout if any(run["succeeded"] for run in progress(line)))
    os.killpg(make.pid, number)
    make.communicate(timeout=60)
    assert make.returncode != 0
    deadline = time.monotonic() + 10
    while finished.processes():
        assert time.monotonic() < deadline, finished.processes()
        time.sleep(0.1)
    outcome = finished.run("bash", "-c", "make backfill DATE=2024-06-02 2>&1")
    assert outcome.returncode == 0, outcome.stdout
    assert progress(outcome.stdout)[-1] == all_succeeded()
