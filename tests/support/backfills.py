"""Backfills that a test starts, and waits for."""

import subprocess
import time

from support.checkouts import read_until

DAY = "2024-06-01"


def start(checkout, *arguments, stderr=subprocess.STDOUT):
    """Start `make backfill` and return it."""
    return checkout.start("make", "backfill", f"DATE={DAY}", *arguments, stderr=stderr)


def start_until(checkout, sign, stderr=subprocess.STDOUT):
    """Start `make backfill` and return it when it has printed a line that the pattern matches."""
    process = start(checkout, stderr=stderr)
    read_until(process, sign)
    return process


SERVERS_START = r"\$ airflow scheduler"

SECOND_TASK_RUNS = r"succeeded: 1 \| running: 1"


def wait(condition, what, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.1)
