#!/usr/bin/env python3
"""Run a command, and end all that it has started when it ends, or when something ends it.

Usage:   bin/sandbox bin/supervise.py COMMAND [ARG ...]
Example: bin/sandbox bin/supervise.py airflow dags backfill dag_test -s 2026-11-23 -e 2026-11-23

Airflow 1 and 2 run a backfill's tasks in sessions of their own, which outlive a backfill that is
interrupted or killed; and the next one waits for ever for what this one has left unfinished, so
that is marked as failed. And they call it a success if there was nothing to run.

Exits as the command does; with 128 + n if signal n ended it, and with 1 if no task was run, or if
another backfill is running in this checkout.
"""

import os
import signal
import sys
from datetime import datetime, timezone
from pathlib import Path

from interruption import SIGNALS
from metadata_db import MetadataDB
from process_tree import ProcessTree

PATIENCE = 10  # seconds that Airflow gets, after a signal, to write down how its tasks ended


def main(command):
    """Run the command, a list of words; return the exit code."""
    if not command or command[0] in ("-h", "--help"):
        print(__doc__, file=sys.stdout if command else sys.stderr)
        return 0 if command else 2
    home = Path(os.environ["AIRFLOW_HOME"])
    process = None
    received = []

    def pass_on(number, _frame):
        received.append(number)
        signal.alarm(PATIENCE)
        if process:
            process.send_signal(number)

    def give_up(_number, _frame):
        raise TimeoutError

    for number in SIGNALS:
        signal.signal(number, pass_on)
    signal.signal(signal.SIGALRM, give_up)
    try:
        with ProcessTree(home / "backfill.processes") as tree:
            database = MetadataDB(home / "airflow.db")
            cut_short = database.fail_unfinished()
            if tree.leftovers or cut_short:
                print(
                    f"   repaired: ended {tree.leftovers} processes of a killed backfill,"
                    f" marked {cut_short} tasks of it as failed",
                    flush=True,
                )
            began = datetime.now(timezone.utc)
            process = tree.start(command)
            if received:  # while it was being started
                process.send_signal(received[0])
            status = process.wait()
            tree.end()
            database.fail_unfinished()
            if status == 0 and not database.ended_since(began):
                print(
                    "supervise: no task was run. The DAG's schedule has no run on these days, or it"
                    " has no schedule or no tasks; see schedule= in the DAG's file",
                    file=sys.stderr,
                )
                status = 1
    except TimeoutError:
        status = -signal.SIGKILL
    except BlockingIOError:
        print("supervise: another backfill is running in this checkout", file=sys.stderr)
        return 1
    if received:
        status = -received[0]
    return 128 - status if status < 0 else status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
