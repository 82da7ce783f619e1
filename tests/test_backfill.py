"""The foreground backfill: how it counts, how it fails, and how it ends when it is interrupted."""

import contextlib
import fcntl
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta, timezone

import pytest
from airflow_sandbox.backfill import LONGEST_PAUSE, pause_after
from airflow_sandbox.metadata_db import TI, Key, Run, open_database
from airflow_sandbox.progress import progress_line
from support.backfills import DAY, SECOND_TASK_RUNS, SERVERS_START, start, start_until, wait
from support.checkouts import PROJECT, checkout_with, read_until
from support.guarantees import guarantee
from support.lines import all_succeeded, progress, results_of


def run_of(state, *states):
    tasks = {Key(f"task{number}"): TI(state, 1, 1) for number, state in enumerate(states)}
    return Run("backfill__x", DAY, state, None, tasks)


def counts(*runs):
    """Return what the line says of these runs, without the zeros."""
    (line,) = progress(progress_line(list(runs)))
    return {name: count for name, count in line.items() if count}


def test_the_line_is_the_tutorials_to_the_letter():
    assert progress_line([run_of("success", "success", "success", "success")]) == (
        "INFO - [backfill progress] | finished run 1 of 1 | tasks waiting: 0 | succeeded: 3"
        " | running: 0 | failed: 0 | skipped: 0 | deadlocked: 0 | not ready: 0"
    )


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ((None, None, None), {"waiting": 3, "not_ready": 3}),
        (("running", None, None), {"running": 1, "waiting": 2, "not_ready": 2}),
        (("queued", "restarting", "scheduled"), {"running": 2, "waiting": 1}),
        (("up_for_retry", "up_for_reschedule", "deferred"), {"waiting": 3}),
        (("failed", "upstream_failed", "success"), {"failed": 2, "succeeded": 1}),
        (("skipped", "skipped", "success"), {"skipped": 2, "succeeded": 1}),
    ],
)
def test_each_state_of_airflow_3_is_counted_where_the_classic_line_had_it(states, expected):
    assert counts(run_of("running", *states)) == {"runs": 1, **expected}


def test_a_look_that_took_a_minute_is_not_followed_by_a_pause_of_nine():
    assert pause_after(0.001) < 1
    assert pause_after(0.3) == pytest.approx(2.7)  # a year of days
    assert pause_after(60) == LONGEST_PAUSE <= 5  # suspended meanwhile


def test_runs_are_added_up_and_finished_ones_counted():
    runs = [run_of("success", "success"), run_of("failed", "failed"), run_of("queued", None)]
    assert counts(*runs) == {
        **{"runs": 3, "finished": 2, "succeeded": 1, "failed": 1, "waiting": 1, "not_ready": 1}
    }


def test_tasks_of_a_run_that_failed_without_a_failed_task_are_deadlocked():
    given_up = {"runs": 1, "finished": 1, "succeeded": 1, "deadlocked": 1, "not_ready": 1}
    assert counts(run_of("failed", "success", None)) == given_up
    assert "deadlocked" not in counts(run_of("failed", "failed", None))


def test_what_is_left_in_a_deadlock_is_deadlocked_and_not_ready_and_waits_no_more():
    runs = [run_of("failed", "failed", "upstream_failed"), run_of("running", None, "scheduled")]
    (line,) = progress(progress_line(runs, deadlock=True))
    assert (line["finished"], line["failed"]) == (1, 2)
    assert (line["waiting"], line["deadlocked"], line["not_ready"]) == (0, 2, 2)


def test_airflow_has_no_state_that_the_line_would_not_count(finished):
    # What this Airflow calls its states, asked of Airflow itself.
    listed = finished.run(
        "bin/sandbox",
        "python",
        "-c",
        "from airflow.utils.state import TaskInstanceState as s; print(*[x.value for x in s])",
    ).stdout.split()
    assert "success" in listed
    for state in set(listed) - {"removed"}:  # not in a run: tests/test_edited_dag.py
        line = counts(run_of("running", state))
        assert len(line) == 2, f"state {state!r} is counted as {line}"


def test_the_progress_was_really_watched(finished):
    lines = progress(finished.all.stdout)
    assert lines[0]["waiting"] == lines[0]["not_ready"] == 3
    assert any(line["running"] for line in lines)
    assert [line["succeeded"] for line in lines] == sorted(line["succeeded"] for line in lines)


def test_the_same_states_as_airflows_own_command_line(finished):
    database = open_database(finished.home)
    (run,) = database.runs(1)
    command = ["bin/sandbox", "airflow", "tasks", "states-for-dag-run", "dag_test", run.run_id]
    shown = finished.run(*command, "-o", "plain").stdout
    assert len(run.tasks) == 3
    for key, ti in run.tasks.items():
        assert any({key.task_id, ti.state} <= set(line.split()) for line in shown.splitlines()), (
            shown
        )


@pytest.fixture(scope="module")
def slow(new_checkout):
    """A checkout, ready to run, whose second task takes a minute."""
    return checkout_with(new_checkout, "run_regression", "sleep 61")


@guarantee(
    "Interruption",
    "Ctrl-C, SIGTERM, SIGHUP in the backfill",
    "all processes end, the backfill is closed as failed, the DAG's pause flag is as before",
)
@pytest.mark.parametrize(
    ("number", "sign"),
    [
        (signal.SIGINT, SECOND_TASK_RUNS),
        (signal.SIGTERM, SERVERS_START),
        (signal.SIGHUP, SERVERS_START),
    ],
)
def test_a_signal_ends_all_and_closes_the_backfill(slow, number, sign):
    make = start_until(slow, sign)
    # As a terminal does it for Ctrl-C: to the whole foreground group, make included. And more than
    # once, as make passes some of them on.
    for _ in range(3):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(make.pid, number)
        time.sleep(0.05)
    output, _ = make.communicate(timeout=60)
    assert make.returncode != 0
    if number == signal.SIGINT:
        assert "interrupted by SIGINT" in output
    wait(lambda: not slow.processes(), "the processes to end", 5)
    database = open_database(slow.home)
    assert database.open_backfills("dag_test") == []
    assert database.dag_is_paused("dag_test")


def kill_make(checkout, make):
    make.kill()


def kill_api_server(checkout, make):
    # It is started first. The record of the processes has a line for each, in that order.
    record = (checkout.home / "backfill.processes").read_text()
    os.kill(int(record.split()[0]), signal.SIGKILL)


def kill_named(checkout, name):
    found = [pid for pid, command in checkout.processes() if any(name in word for word in command)]
    assert found, f"no {name} in {checkout.processes()}"
    os.kill(found[0], signal.SIGKILL)


def kill_backfill(checkout, make):
    kill_named(checkout, "bin/backfill")


@guarantee(
    "Interruption",
    "kill -9 of make, of `bin/backfill`, of the scheduler, of the api-server",
    "all processes end within seconds",
)
@pytest.mark.parametrize(
    ("kill", "said"),
    [
        (kill_make, None),
        (kill_api_server, "the api-server ended by itself"),
        (kill_backfill, "Killed|137"),
    ],
)
def test_kill_9_of_any_one_process_leaves_nothing_running(slow, kill, said):
    make = start_until(slow, SECOND_TASK_RUNS)
    wait(lambda: any("sleep" in command for _, command in slow.processes()), "the task")
    kill(slow, make)
    output, _ = make.communicate(timeout=60)
    assert make.returncode != 0
    assert said is None or re.search(said, output), output
    assert "memory" not in output  # of which there was enough
    wait(lambda: not slow.processes(), "the processes to end", 10)


@guarantee(
    "Interruption",
    "the next run after kill -9",
    "closes what was left open, says so, and runs",
)
def test_after_kill_9_the_next_backfill_repairs_and_runs(slow):
    make = start_until(slow, SECOND_TASK_RUNS)
    kill_backfill(slow, make)
    make.communicate(timeout=60)
    wait(lambda: not slow.processes(), "the processes to end", 10)
    assert open_database(slow.home).open_backfills("dag_test")
    dag_file = slow.path / "dags/dag_example.py"
    slow_dag = dag_file.read_text()
    dag_file.write_text((PROJECT / "dags/dag_example.py").read_text())
    outcome = slow.make("backfill", f"DATE={DAY}")
    dag_file.write_text(slow_dag)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert "repaired: closed backfill" in outcome.stdout
    assert progress(outcome.stdout)[-1] == all_succeeded()


@guarantee(
    "Interruption",
    "kill -9 of a task",
    "the task fails, its log is shown",
)
def test_a_killed_task_fails_and_is_shown(slow):
    make = start_until(slow, SECOND_TASK_RUNS)
    wait(lambda: any("sleep" in command for _, command in slow.processes()), "the task")
    kill_named(slow, "sleep")
    output, _ = make.communicate(timeout=60)
    assert make.returncode != 0
    assert progress(output)[-1]["failed"] == 2
    assert "task run_regression of" in output


# Runs what follows in a network namespace, in which there is nothing but the loopback device.
LOOPBACK_UP = (
    "import fcntl, os, socket, struct, sys;"
    "fcntl.ioctl(socket.socket(), 0x8914, struct.pack('16sh14x', b'lo', 0x49));"
    "os.execvp(sys.argv[1], sys.argv[1:])"
)
ALONE = ["unshare", "--net", "--map-root-user", sys.executable, "-c", LOOPBACK_UP]


@pytest.fixture(scope="session")
def alone(finished):
    """The outcome of a backfill of a day long ago, in which the servers' logs are shown; where the
    machine lets one, without any network."""
    can = subprocess.run([*ALONE, "true"], capture_output=True).returncode == 0
    command = ["make", "backfill", "results", "DATE=1899-12-31", "V=1"]
    outcome = finished.run(*(ALONE if can else []), *command)
    outcome.had_network = not can
    return outcome


@guarantee(
    "Input",
    "a day before the DAG's start date",
    "it runs, as Airflow's own backfill does",
)
def test_a_day_before_the_start_date_runs(alone):
    assert alone.returncode == 0, alone.stdout + alone.stderr
    assert progress(alone.stdout)[-1] == all_succeeded()


def test_v_1_shows_what_the_servers_log_and_by_default_only_the_paths_are(finished, alone):
    sign = "Uvicorn running on"
    assert sign not in finished.all.stdout
    assert "(log: .sandbox/3/airflow/logs/api-server.log)" in finished.all.stdout
    assert sign in alone.stdout
    assert finished.processes() == []


@guarantee(
    "The download",
    "connection refused; no such host; no network at all",
    "the embedded copy",
)
def test_without_any_network_a_backfill_works(finished, alone):
    if alone.had_network:
        pytest.skip("this machine lets nobody make a network namespace (unshare --net)")
    assert alone.returncode == 0, alone.stdout + alone.stderr
    assert progress(alone.stdout)[-1] == all_succeeded()
    (log,) = finished.home.glob("logs/*/run_id=*1899*/task_id=get_data/attempt=*.log")
    assert "embedded copy" in log.read_text()
    assert results_of(finished, "1899-12-31").is_dir()


@guarantee(
    "Concurrency",
    "another process writes to the metadata database while the backfill is created",
    "each waits for the other, and the backfill is created at once",
)
def test_a_backfill_is_created_while_another_process_writes_to_the_database(finished):
    # A commit between what Airflow reads there and what it writes made SQLite refuse the write.
    make = start(finished)
    said = read_until(make, r"\$ airflow backfill create")
    with contextlib.closing(sqlite3.connect(finished.home / "airflow.db", timeout=60)) as database:
        reader = threading.Thread(target=lambda: lines.append(read_until(make, SERVERS_START)))
        lines = []
        reader.start()
        while reader.is_alive():
            with database:
                database.execute("INSERT INTO log (dttm, event) VALUES ('now', 'test')")
    said += lines[0] + make.stdout.read()
    assert make.wait() == 0, said
    assert progress(said)[-1] == all_succeeded()
    assert "locked" not in "".join(log.read_text() for log in finished.home.glob("logs/*.log"))


@guarantee(
    "Concurrency",
    "two backfills typed by hand",
    "the second is refused in one line",
)
def test_a_second_backfill_at_the_same_time_is_refused(finished):
    with (finished.home / "backfill.processes").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        outcome = finished.make("backfill", f"DATE={DAY}")
    assert outcome.returncode != 0
    assert "another backfill is running" in outcome.stderr
    assert "backfill progress" not in outcome.stdout


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["-s", "2024-13-01", "-e", "2024-12-31"], "YYYY-MM-DD"),
        (["-s", "2024-02-02", "-e", "2024-02-01"], "after"),
        (["-s", "2024-02-02", "-e", "9999-01-01"], "future"),
        (["-s", "2024-02-02"], "required"),
    ],
)
def test_wrong_usage_is_refused_with_exit_code_2(finished, arguments, reason):
    outcome = finished.run("bin/sandbox", "bin/backfill", "dag_test", *arguments)
    assert outcome.returncode == 2
    assert reason in outcome.stderr


def test_a_dag_that_the_database_does_not_know_is_an_error(finished):
    outcome = finished.run("bin/sandbox", "bin/backfill", "nope", "-s", DAY, "-e", DAY)
    assert outcome.returncode == 1
    assert "'nope'" in outcome.stderr
    assert "make list-dags" in outcome.stderr


def test_today_in_utc_is_not_the_future_and_tomorrow_is(finished):
    tomorrow = datetime.now(timezone.utc).date() + timedelta(days=1)
    outcome = finished.make("backfill", f"DATE={tomorrow}")
    assert outcome.returncode == 2
    assert "in the future" in outcome.stderr
