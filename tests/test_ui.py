"""`make ui`: what it starts, whom it answers, and that nothing is left of it, however it ends."""

import contextlib
import json
import os
import re
import signal
import socket
from datetime import datetime, timezone

import psutil
import pytest
from airflow_sandbox.metadata_db import open_database
from support.backfills import DAY, wait
from support.checkouts import checkout_with, read_until
from support.guarantees import guarantee
from support.lines import all_succeeded, progress
from support.pages import HOST, READY, Served, alive, free_port, nothing_is_left, password_of

pytestmark = [pytest.mark.xdist_group(__name__), pytest.mark.slow]  # they share checkouts

STARTED = r"\$ airflow triggerer"


SLOW_DAY = "2024-06-02"


@pytest.fixture(scope="module")
def checkout(new_checkout):
    """A checkout, ready to run, whose last task takes a minute on one day and in scheduled runs."""
    slow = f"case '{{{{ run_id }}}}' in scheduled*|*{SLOW_DAY}*) sleep 61; esac; echo"
    return checkout_with(new_checkout, "print_results", slow)


@pytest.fixture(scope="module")
def served(checkout):
    """make ui, ready to be logged in to."""
    served = Served(checkout, READY)
    yield served
    served.stop()


def test_it_says_where_what_and_how_to_end_it(served):
    last = next(served.make.stdout)
    assert f"http://{HOST}:{served.port}/" in served.output
    assert "the password is in .sandbox/3/airflow/login.json" in served.output
    assert "make stop" in last
    for server in "api-server", "scheduler", "dag-processor", "triggerer":
        assert re.search(rf"^   {server} is ready after \d+ s$", served.output, re.MULTILINE)
        assert f"(log: .sandbox/3/airflow/logs/{server}.log)" in served.output


def test_ready_means_that_every_server_is_healthy(served):
    _, text = served.request("GET", "/api/v2/monitor/health")
    health = json.loads(text)
    for part in "metadatabase", "scheduler", "dag_processor":
        assert health[part]["status"] == "healthy"


@guarantee(
    "What is open",
    "`make ui`",
    "the Airflow UI and its whole API, at 127.0.0.1",
)
def test_every_socket_listens_on_loopback_alone(served):
    found = served.listening()
    assert (HOST, served.port) in found
    assert {address.ip for address in found} == {HOST}


@guarantee(
    "What is open",
    "the API of edition 3 without a login, from any user of this machine",
    "health, version, the page of the login, and the API's description",
)
def test_without_a_login_no_part_of_the_api_answers_but_health_and_version(served):
    _, text = served.request("GET", "/openapi.json")
    routes = json.loads(text)["paths"]
    answered = set()
    for route, methods in routes.items():
        for method in methods:
            status, _ = served.request(method.upper(), re.sub(r"\{\w+\}", "x", route))
            if status not in (401, 403):
                answered.add(route)
    assert len(routes) > 50
    assert answered == {
        "/api/v2/monitor/health",
        "/api/v2/version",
        "/api/v2/auth/login",  # these two lead to the page of the login
        "/api/v2/auth/logout",
    }
    # What the pages themselves ask, and what the tasks ask.
    for path in "/ui/config", "/ui/dags", "/ui/auth/me":
        assert served.request("GET", path)[0] == 401
    status, _ = served.request("GET", "/execution/variables/x")
    assert status in (401, 403)


@guarantee(
    "What is secret",
    "The password for `make ui` is printed on a terminal alone, and is in no log.",
)
def test_only_the_password_of_the_file_logs_in(served):
    file = served.checkout.home / "login.json"
    assert file.stat().st_mode & 0o777 == 0o600
    password = password_of(served)
    for wrong in "admin", "", password[:-1]:
        status, text = served.log_in(wrong)
        assert status == (401 if wrong else 400), text
    status, text = served.log_in(password)
    assert status == 201
    token = json.loads(text)["access_token"]
    status, text = served.request("GET", "/api/v2/dags", token)
    assert [dag["dag_id"] for dag in json.loads(text)["dags"]] == ["dag_test"]
    assert password not in served.output
    for log in served.checkout.home.glob("logs/*.log"):
        assert password not in log.read_text()


@guarantee(
    "The Airflow UI",
    "`make ui` twice",
    "the second says where the first one serves",
)
def test_a_second_one_is_refused_and_says_where_the_first_is(served):
    outcome = served.checkout.make("ui", f"PORT={free_port()}")
    assert outcome.returncode == 2  # make's own, for a step that failed
    assert f"http://{HOST}:{served.port}/ already" in outcome.stderr


@guarantee(
    "The Airflow UI",
    "`make clean`, or a step that replaces what the servers use",
    "refused, nothing touched",
)
@pytest.mark.parametrize(
    ("target", "changed"),
    [
        ("clean", None),
        ("distclean", None),
        ("list-dags", "editions/3/settings.cfg"),
        ("list-dags", "editions/3/requirements.txt"),
    ],
)
def test_what_it_stands_on_is_not_taken_away_from_under_it(served, target, changed):
    if changed:
        file = served.checkout.path / changed
        before = file.read_text()
        file.write_text(before + "# changed\n")
    try:
        outcome = served.checkout.make(target)
    finally:
        if changed:
            file.write_text(before)
    assert outcome.returncode != 0
    assert f"http://{HOST}:{served.port}/; end that first: make stop" in outcome.stderr
    assert (served.checkout.home / "airflow.db").exists()


def states(served):
    """Return {first 10 letters of the logical date: state} of all DAG runs, as the API has them."""
    runs = served.ask("dags/dag_test/dagRuns?limit=100")["dag_runs"]
    return {run["logical_date"][:10]: run["state"] for run in runs}


def start_backfill(served, day, until):
    """Start make backfill; return its Popen when it has printed a line that the pattern matches."""
    process = served.checkout.start("make", "backfill", f"DATE={day}")
    read_until(process, until)
    return process


def open_backfills(served):
    backfills = served.ask("backfills?dag_id=dag_test")["backfills"]
    return [backfill for backfill in backfills if not backfill["completed_at"]]


@guarantee(
    "The Airflow UI",
    "a backfill of a DAG that is switched off (Airflow's issue 60768)",
    "it is switched off again, and what its schedule had started is ended",
)
def test_a_backfill_uses_its_servers_and_can_be_seen_there_as_it_goes(served):
    before = served.leaders()
    make = start_backfill(served, DAY, r"running: 1")
    assert states(served)[DAY] == "running"
    output, _ = make.communicate(timeout=300)
    assert make.returncode == 0, output
    assert progress(output)[-1] == all_succeeded()
    assert "$ airflow" not in output  # it started nothing
    assert states(served)[DAY] == "success"
    assert open_backfills(served) == []
    assert served.leaders() == before
    # It was switched on for that, and Airflow has begun to run it by its schedule.
    assert served.ask("dags/dag_test")["is_paused"]
    (scheduled,) = set(states(served)) - {DAY}
    assert states(served)[scheduled] == "failed"
    assert f"so scheduled__{scheduled}T00:00:00+00:00 of its schedule was ended" in output


def test_the_scheduled_run_of_today_is_not_in_its_way(served):
    assert states(served)[f"{datetime.now(timezone.utc):%Y-%m-%d}"] == "failed"
    outcome = served.checkout.make("backfill")
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert progress(outcome.stdout)[-1] == all_succeeded()
    assert progress(outcome.stdout)[0]["succeeded"] < 3  # it ran again, for real


def test_ctrl_c_cancels_a_backfill_and_leaves_the_servers_alone(served):
    before = served.leaders()
    make = start_backfill(served, SLOW_DAY, r"succeeded: 2 \| running: 1")
    wait(lambda: sleepers(served), "the slow task")
    os.killpg(make.pid, signal.SIGINT)
    output, _ = make.communicate(timeout=60)
    assert "interrupted by SIGINT" in output
    assert open_backfills(served) == []
    assert states(served)[SLOW_DAY] == "failed"
    wait(lambda: not sleepers(served), "the task's process to end")
    assert served.leaders() == before


def test_a_loaded_airflow_runs_commands_and_outlives_those_who_leave_early(served):
    def airflow(*words):
        return served.checkout.run("bin/sandbox", "airflow", *words)

    wait((served.checkout.home / "warm.socket").exists, "Airflow to be loaded")
    which = served.checkout.run("bin/sandbox", "sh", "-c", "command -v airflow").stdout
    assert which.strip() == str(served.checkout.path / "libexec/warm/airflow")
    folder = os.open(served.checkout.home, os.O_RDONLY)
    for sent in b"", b"\0\0", b"\0\0\1\0{":
        with socket.socket(socket.AF_UNIX) as visitor:
            visitor.connect(f"/proc/self/fd/{folder}/warm.socket")
            visitor.sendall(sent)
    os.close(folder)
    assert "dag_test" in airflow("dags", "list").stdout
    missing = airflow("dags", "delete", "--yes", "nope")
    assert missing.returncode == 1 and "Dag id nope not found" in missing.stderr
    assert airflow("dags", "no-such-command").returncode == 2
    # What has been loaded is of no use if its settings have changed.
    os.utime(served.checkout.home / "airflow.cfg")
    assert "dag_test" in airflow("dags", "list").stdout


def sleepers(served):
    found = []
    for process in served.processes():
        with contextlib.suppress(psutil.Error):  # it has just ended
            if "sleep" in process.cmdline():
                found.append(process)
    return found


@guarantee(
    "The Airflow UI",
    "`airflow backfill create`, typed by hand beside the servers, which write all the time",
    "it creates the backfill, and they run it",
)
def test_a_backfill_that_is_created_by_hand_is_run_by_the_servers(served):
    switch_on = ["bin/sandbox", "airflow", "dags", "unpause", "-y", "dag_test"]
    assert served.checkout.run(*switch_on).returncode == 0
    for month in "01", "02":
        days = [f"--from-date=2024-{month}-01", f"--to-date=2024-{month}-02"]
        command = ["bin/sandbox", "airflow", "backfill", "create", "--dag-id=dag_test", *days]
        outcome = served.checkout.run(*command)
        assert outcome.returncode == 0, outcome.stdout + outcome.stderr
        wait(
            lambda day=f"2024-{month}-02": states(served).get(day) == "success", "the last day", 120
        )
        database = open_database(served.checkout.home)
        for backfill_id in database.open_backfills("dag_test"):
            database.close_backfill(backfill_id)
    for log in served.checkout.home.glob("logs/*.log"):
        assert "locked" not in log.read_text(), log


@guarantee(
    "The Airflow UI",
    "`make stop`",
    "all servers end within seconds, port and files are given back",
)
def test_make_stop_ends_it_and_leaves_nothing(served):
    processes = served.processes()
    assert len(processes) > 3
    outcome = served.checkout.make("stop")
    assert outcome.returncode == 0
    assert outcome.stdout.strip() == f"ended: http://{HOST}:{served.port}/"
    # Not later, when make stop is done.
    assert alive(processes) == []
    output, _ = served.make.communicate(timeout=30)
    assert "all servers have been ended" in output
    assert served.make.returncode == 0
    nothing_is_left(served, processes)


@guarantee(
    "The Airflow UI",
    "one of the servers dies",
    "the others are ended, the end of its log is shown",
)
def test_when_a_server_dies_all_end_and_its_log_is_shown(checkout):
    served = Served(checkout, READY)
    processes = served.processes()
    for process in processes:
        if "scheduler" in process.cmdline():
            process.kill()
    output, _ = served.make.communicate(timeout=30)
    assert served.make.returncode == 2
    assert "ui: the scheduler ended by itself" in output
    assert "the end of .sandbox/3/airflow/logs/scheduler.log:" in output
    nothing_is_left(served, processes)


@guarantee(
    "The Airflow UI",
    "the servers end while a backfill uses them",
    "the backfill says so and is closed",
)
def test_a_backfill_says_so_when_the_servers_end(checkout):
    served = Served(checkout, READY)
    make = start_backfill(served, SLOW_DAY, r"succeeded: 2 \| running: 1")
    processes = served.processes()
    assert served.checkout.make("stop").returncode == 0
    output, _ = make.communicate(timeout=60)
    assert make.returncode == 2
    assert "the Airflow UI, whose servers ran it, has ended" in output
    database = open_database(served.checkout.home)
    assert database.open_backfills("dag_test") == []
    served.make.communicate(timeout=60)
    nothing_is_left(served, processes)


def ctrl_c(served):
    os.killpg(served.make.pid, signal.SIGINT)  # as a terminal does it, make included


def hang_up(served):
    os.killpg(served.make.pid, signal.SIGHUP)


def terminate_script(served):
    served.script().terminate()


def kill_script(served):
    served.script().kill()


def kill_make(served):
    served.make.kill()


@guarantee(
    "The Airflow UI",
    "Ctrl-C, SIGTERM, SIGHUP, or kill -9 of make or of `libexec/ui` while the servers start",
    "all servers end within seconds, port and files are given back",
)
@pytest.mark.parametrize(
    ("end", "status", "said"),
    [
        (ctrl_c, -signal.SIGINT, "all servers have been ended"),
        (hang_up, -signal.SIGHUP, "all servers have been ended"),
        (terminate_script, 0, "all servers have been ended"),
        (kill_script, 2, "failed with exit code 137"),
        (kill_make, -signal.SIGKILL, "all servers have been ended"),
    ],
)
def test_however_it_ends_nothing_is_left(checkout, end, status, said):
    served = Served(checkout, STARTED)
    try:
        # The line is printed just before the last of the four servers starts.
        wait(lambda: len(served.leaders()) == 4, "four servers")
        processes = [served.script(), *served.processes()]
        assert len(processes) >= 4
    finally:
        end(served)
    output, _ = served.make.communicate(timeout=60)
    assert said in output
    if end is ctrl_c:  # make may also print "Error 130" and exit with 2
        assert served.make.returncode != 0
    else:
        assert served.make.returncode == status
    nothing_is_left(served, processes)


@guarantee(
    "The Airflow UI",
    "the port is taken, also on all devices",
    "one line that names the program and another port",
)
def test_a_taken_port_is_refused_with_who_has_it_and_how_to_take_another(checkout):
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        port = other.getsockname()[1]
        outcome = checkout.make("ui", f"PORT={port}")
    assert outcome.returncode == 2
    (line,) = [line for line in outcome.stderr.splitlines() if line.startswith("ui: ")]
    assert f"port {port} is taken by" in line
    assert f"(process {os.getpid()})" in line
    suggested = int(re.search(r"make ui PORT=(\d+)$", line)[1])
    assert suggested > port
    assert "$ airflow" not in outcome.stdout.partition("libexec/ui")[2]


@guarantee(
    "The Airflow UI",
    "the port is taken, also on all devices",
    "one line that names the program and another port",
)
def test_a_service_on_all_devices_takes_the_port_too(checkout):
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))
        other.listen()
        outcome = checkout.make("ui", f"PORT={other.getsockname()[1]}")
    assert outcome.returncode == 2
    assert "is taken by" in outcome.stderr


@pytest.mark.parametrize("port", ["80", "65536", "http", "08080", "", "8080; touch x"])
def test_a_port_that_is_none_is_refused_before_anything_is_touched(checkout, port):
    outcome = checkout.make("ui", f"PORT={port}")
    assert outcome.returncode == 2
    assert re.fullmatch(r"check-input: PORT=\S.* is not a port .*", outcome.stderr.splitlines()[0])
    assert outcome.stdout == ""


def test_make_stop_without_anything_to_stop_says_so(new_checkout, checkout):
    assert checkout.make("stop").stdout.strip() == "the Airflow UI is not running"
    fresh = new_checkout().make("stop")
    said = "   the Airflow UI is not running\n"
    assert (fresh.returncode, fresh.stdout, fresh.stderr) == (0, said, "")


@guarantee(
    "The Airflow UI",
    "the login file is damaged, or others may read it",
    "replaced by a new one; made private",
)
def test_a_readable_login_is_made_private_and_a_broken_one_replaced(checkout):
    file = checkout.home / "login.json"
    script = (
        "from airflow_sandbox import ui; from pathlib import Path;"
        f"file = Path({str(file)!r});"
        "print(ui.read_password(file) or ui.new_password(file))"
    )
    for text in '{"admin": "kept"}', "{", '["admin"]', '{"admin": ""}':
        file.write_text(text)
        file.chmod(0o644)
        password = checkout.run("bin/sandbox", "python", "-c", script).stdout.strip()
        assert (password == "kept") == ("kept" in text)
        assert len(password) == 16 or password == "kept"
        assert file.stat().st_mode & 0o777 == 0o600
