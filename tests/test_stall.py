"""A backfill that stands still says why, and ends when nothing can come any more."""

import os
import re
import signal
import time

import pytest
from support.backfills import start, wait
from support.checkouts import read_until
from support.guarantees import guarantee
from support.lines import progress

DAGS = """
import ctypes
import os
import signal
from datetime import datetime, timedelta
from pathlib import Path
from airflow.sdk import AsyncCallback, CronPartitionTimetable, DAG, DeadlineAlert
from airflow.sdk import DeadlineReference, task
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
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


def note(context):
    Path(os.environ["AIRFLOW_HOME"], "called").write_text(context["dag_run"].run_id)

with DAG(
    "callbacks",
    on_success_callback=note,
    deadline=DeadlineAlert(
        reference=DeadlineReference.DAGRUN_LOGICAL_DATE,  # long ago, so each run misses it
        interval=timedelta(days=1),
        callback=AsyncCallback("late.note"),
    ),
    **DAILY,
):
    BashOperator(task_id="a", bash_command="true")

with DAG("partitions", **{**DAILY, "schedule": CronPartitionTimetable("@daily", timezone="UTC")}):
    BashOperator(task_id="a", bash_command="exit 1")

with DAG("asks", **DAILY):
    ApprovalOperator(task_id="a", subject="Go on?")

with DAG("fails", max_consecutive_failed_dag_runs=2, **DAILY):
    BashOperator(task_id="a", bash_command="exit 1")

with DAG("kills", **DAILY):
    @task
    def a():  # ends the executor's process, as the kernel does when memory is short
        os.kill(os.getppid(), signal.SIGKILL)

    a()

with DAG("crashes", **DAILY):
    @task
    def a():
        ctypes.string_at(0)

    a()

with DAG("long_line", **DAILY):
    @task
    def a():
        print("x" * 5_000_000)
        raise ValueError("no luck")

    a()

with DAG("child", **{**DAILY, "schedule": None}):
    BashOperator(task_id="a", bash_command="true")

with DAG("waits_for_child", **DAILY):
    TriggerDagRunOperator(
        task_id="a", trigger_dag_id="child", wait_for_completion=True, poke_interval=1
    )
"""

LATE = """
import os
from pathlib import Path
async def note(context):
    Path(os.environ["AIRFLOW_HOME"], "late").write_text(context["dag_run"]["dag_run_id"])
"""

pytestmark = [pytest.mark.xdist_group(__name__), pytest.mark.slow]  # they share a checkout


@pytest.fixture(scope="module")
def checkout(new_checkout):
    checkout = new_checkout()
    (checkout.path / "dags/stalls.py").write_text(DAGS)
    (checkout.home / "plugins").mkdir(parents=True)
    (checkout.home / "plugins/late.py").write_text(LATE)
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


@guarantee(
    "Input",
    "callbacks of the DAG, and deadlines that are missed",
    "they run, in servers that are started for them; the end waits for them a minute at most",
)
def test_callbacks_and_deadlines_run(checkout):
    outcome = backfill(checkout, "callbacks")
    assert outcome.returncode == 0, outcome.stdout
    for name in "called", "late":
        assert "2024-01-01" in (checkout.home / name).read_text(), outcome.stdout
    assert checkout.processes() == []


@guarantee(
    "Interruption",
    "kill -9 of an executor's process",
    "the backfill ends with a message; Airflow would wait for minutes, or for ever",
)
def test_an_executors_process_that_is_killed_ends_the_backfill(checkout):
    outcome = backfill(checkout, "kills")
    assert outcome.returncode == 2
    assert "a process that runs tasks was killed; the end of " in outcome.stdout
    assert "memory" not in outcome.stdout  # of which there was enough


def test_a_task_that_crashes_in_a_library_fails_and_shows_where(checkout):
    outcome = backfill(checkout, "crashes")
    assert progress(outcome.stdout)[-1]["failed"] == 1
    place = r"\| dags/stalls.py:\d+, in a: Fatal Python error: Segmentation fault\n\n"
    assert re.search(place, outcome.stdout), outcome.stdout


def test_of_a_line_of_megabytes_the_beginning_is_shown(checkout):
    outcome = backfill(checkout, "long_line")
    assert "xxx ... (5000000 characters)" in outcome.stdout
    assert len(outcome.stdout) < 20_000 and "in a: ValueError: no luck" in outcome.stdout


def test_a_run_without_a_logical_date_is_named_by_its_partition(checkout):
    outcome = backfill(checkout, "partitions")
    assert outcome.returncode == 2
    log = re.search(r"task a of 2024-01-01\S* failed; (\S+) ends", outcome.stdout)[1]
    assert (checkout.path / log).exists()


def test_a_task_that_waits_for_an_answer_says_where_to_give_it(checkout):
    make = start(checkout, "DAG=asks")
    read_until(make, "waiting for a of .*: somebody has to answer it; in the UI: .*make ui")
    os.killpg(make.pid, signal.SIGINT)
    make.communicate(timeout=60)


def test_a_dag_that_airflow_switches_off_ends_the_backfill(checkout):
    # It counts the latest days, so these have to come first.
    days = ["START=2024-01-01", "END=2024-01-04", "OPTIONS=--run-backwards --max-active-runs 1"]
    outcome = checkout.make("backfill", "DAG=fails", *days)
    assert outcome.returncode == 2
    assert "switched it off, by its max_consecutive_failed_dag_runs" in outcome.stdout
    assert progress(outcome.stdout)[-1]["failed"] == 2


def test_what_waits_for_another_dag_says_so_and_ends_when_it_is_switched_off(checkout):
    make = start(checkout, "DAG=waits_for_child")
    read_until(make, "a of 2024-06-01 has been running since .* ends: Waiting for dag run")
    read_until(make, "of child stays queued, as child is switched off; .* unpause -y child")
    command = ["bin/sandbox", "airflow", "dags", "pause", "-y", "waits_for_child"]
    assert checkout.run(*command).returncode == 0
    # What runs may go on to its end.
    command[3:] = ["unpause", "-y", "child"]
    assert checkout.run(*command).returncode == 0
    output, _ = make.communicate(timeout=120)
    assert "has switched it off; to switch it on: bin/sandbox airflow dags unpause" in output


@guarantee(
    "Interruption",
    "a run of the same day that was triggered by hand, and that nobody runs",
    "it is ended, and its day runs",
)
def test_a_run_of_that_day_that_nobody_runs_is_no_obstacle(checkout):
    day = "2024-01-01T00:00:00+00:00"
    command = ["bin/sandbox", "airflow", "dags", "trigger", "lost", "--logical-date", day]
    assert checkout.run(*command).returncode == 0
    outcome = backfill(checkout, "lost")
    assert outcome.returncode == 0, outcome.stdout
    assert "repaired: ended manual__" in outcome.stdout
