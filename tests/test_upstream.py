"""Faults of Airflow that are open in its tracker, and what becomes of them in the kit.

Each test names the issue. Where it can be seen cheaply that Airflow still has the fault, the test
asserts that, too: if that fails, Airflow has mended it, and what the kit does against it can go.
"""

import contextlib
import re
import sqlite3

import pytest
from support.backfills import wait
from support.checkouts import read_until
from support.guarantees import guarantee
from support.lines import progress
from support.pages import READY, Served

DAGS = """
from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

DAILY = {"schedule": "@daily", "start_date": datetime(2024, 1, 1), "catchup": False}

with DAG("empty", **DAILY):
    EmptyOperator(task_id="a")

with DAG("cancelled", **DAILY):
    BashOperator(task_id="a", bash_command="test {{ ds }} != 2024-01-01 || sleep 9")

with DAG("steps", schedule=timedelta(hours=5), start_date=datetime(2024, 1, 1, 3, 28)):
    EmptyOperator(task_id="a")
"""

pytestmark = [pytest.mark.xdist_group(__name__), pytest.mark.slow]  # they share servers


@pytest.fixture(scope="module")
def served(new_checkout):
    checkout = new_checkout()
    (checkout.path / "dags/mine.py").write_text(DAGS)
    served = Served(checkout, READY, "DAG=empty")
    yield served
    served.stop()


def line(outcome):
    """Return what the last progress line of make backfill says, which has to succeed."""
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    return progress(outcome.stdout)[-1]


@guarantee(
    "Airflow's open faults",
    "a DAG run that was cancelled in the UI, and then cleared (Airflow's issue 72337)",
    "it stays queued in Airflow; the next backfill of the DAG lets it run",
)
def test_a_cancelled_run_that_is_cleared_runs_after_the_next_backfill(served):
    days = ["START=2024-01-01", "END=2024-01-02", "MAX_ACTIVE_RUNS=1"]
    make = served.checkout.start("make", "backfill", "DAG=cancelled", *days)
    read_until(make, r"running: 1")
    (backfill,) = served.ask("backfills?dag_id=cancelled")["backfills"]
    served.ask(f"backfills/{backfill['id']}/cancel", "PUT")
    output, _ = make.communicate(timeout=60)
    assert make.returncode == 2, output
    path = "dags/cancelled/dagRuns/backfill__2024-01-02T00:00:00+00:00"
    assert served.ask(path)["state"] == "failed"  # it had not started
    served.ask("dags/cancelled", "PATCH", is_paused=False)
    # As Airflow leaves it; the kit's backfill has mended that at its end.
    with contextlib.closing(sqlite3.connect(served.checkout.home / "airflow.db", 60)) as database:
        database.execute("UPDATE backfill SET is_paused = true")
        database.commit()
    served.ask(f"{path}/clear", "POST", dry_run=False)
    with pytest.raises(AssertionError, match="waited"):  # the fault: it is never looked at
        wait(lambda: served.ask(path)["state"] != "queued", "the run", 5)
    assert line(served.checkout.make("backfill", "DAG=cancelled", "DATE=2024-01-03"))
    wait(lambda: served.ask(path)["state"] == "success", "the run")


@guarantee(
    "Airflow's open faults",
    "empty tasks, whose runs end at once (Airflow's issue 68721)",
    "it ends when all of them have, and not when Airflow has marked it as completed",
)
def test_no_run_of_an_empty_task_is_left_behind(served):
    days = ["START=2024-01-01", "END=2024-02-29"]
    came = line(served.checkout.make("backfill", "DAG=empty", *days))
    assert (came["finished"], came["runs"], came["succeeded"]) == (60, 60, 60)


@guarantee(
    "Airflow's open faults",
    "a schedule that is a timedelta (Airflow's issue 47813)",
    "a day has the runs of the schedule, whichever range it is in",
)
def test_the_runs_of_a_timedelta_are_those_of_its_schedule(served):
    def times(command):
        outcome = served.checkout.run(*command)
        assert outcome.returncode == 0, outcome.stdout + outcome.stderr
        return re.findall(r"^\| .*?2024-01-02[ T](\d\d:\d\d)", outcome.stdout, re.MULTILINE)

    backfill = ["make", "backfill", "DAG=steps", "OPTIONS=--dry-run", "END=2024-01-02"]
    on_schedule = ["04:28", "09:28", "14:28", "19:28"]
    assert times([*backfill, "START=2024-01-01"]) == on_schedule
    assert times([*backfill, "START=2024-01-02"]) == on_schedule
    raw = ["airflow", "backfill", "create", "--dag-id", "steps", "--dry-run"]
    raw += ["--from-date", "2024-01-02", "--to-date", "2024-01-02T23:59:59"]
    assert times(["bin/sandbox", *raw])[0] == "00:00"  # the fault
