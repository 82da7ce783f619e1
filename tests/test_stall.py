"""A backfill that stands still says why, and ends when nothing can come any more."""

import re
import time

import pytest
from support.backfills import start, wait
from support.lines import progress

DAGS = """
from datetime import datetime, timedelta
from airflow.sdk import DAG
from airflow.providers.standard.operators.bash import BashOperator

DAILY = {"schedule": "@daily", "start_date": datetime(2019, 1, 1), "catchup": False}

with DAG("retries", **DAILY):
    BashOperator(
        task_id="a",
        bash_command="exit $(( {{ ti.try_number }} < 2 ))",
        retries=1,
        retry_delay=timedelta(seconds=20),
    )

with DAG("full_pool", **DAILY):
    BashOperator(task_id="a", bash_command="true", pool="small", pool_slots=2)

with DAG("lost", **DAILY):
    BashOperator(task_id="a", bash_command="true") >> BashOperator(task_id="b", bash_command="true")
"""

pytestmark = [pytest.mark.xdist_group(__name__), pytest.mark.slow]  # they share a checkout


@pytest.fixture(scope="module")
def checkout(new_checkout):
    checkout = new_checkout()
    (checkout.path / "dags/stalls.py").write_text(DAGS)
    checkout.succeed("list-dags")
    return checkout


def backfill(checkout, dag_id):
    """Run make backfill for a day; return its subprocess.CompletedProcess, all in stdout."""
    outcome = checkout.make("backfill", f"DAG={dag_id}", "DATE=2024-01-01")
    outcome.stdout += outcome.stderr
    return outcome


def test_a_try_that_failed_and_the_time_of_the_next_are_said(checkout):
    outcome = backfill(checkout, "retries")
    assert outcome.returncode == 0, outcome.stdout
    failed = r"a of 2024-01-01 failed \(try 1 of 2\) and will be tried again; its log: (\S+)"
    log = checkout.path / re.search(failed, outcome.stdout)[1]
    assert "exit" in log.read_text()
    again = r"waiting for a of 2024-01-01: it will be tried again at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
    assert len(re.findall(again, outcome.stdout)) == 1
    assert progress(outcome.stdout)[-1]["succeeded"] == 1


def test_a_pool_that_is_too_small_is_a_deadlock_with_its_reason(checkout):
    created = checkout.run("bin/sandbox", "airflow", "pools", "set", "small", "1", "one slot")
    assert created.returncode == 0, created.stdout + created.stderr
    outcome = backfill(checkout, "full_pool")
    assert outcome.returncode == 2
    assert progress(outcome.stdout)[-1]["deadlocked"] == 1
    assert re.search(r"nothing that is left can ever run: a of 2024-01-01: .*pool", outcome.stdout)
    assert checkout.processes() == []


def test_a_dag_whose_file_was_lost_fails_at_once_and_says_so(checkout):
    file = checkout.path / "dags/stalls.py"
    make = start(checkout, "DAG=lost")
    wait(lambda: "scheduler" in str(checkout.processes()), "the scheduler")
    file.write_text("")
    began = time.monotonic()
    output, _ = make.communicate(timeout=120)
    file.write_text(DAGS)
    assert time.monotonic() - began < 60
    assert make.returncode == 2
    assert progress(output)[-1]["failed"] == 2
    assert "task a of 2024-06-01 failed" in output and "Dag not found" in output
