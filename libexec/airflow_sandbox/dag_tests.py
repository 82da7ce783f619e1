"""A pytest plugin: fixtures for the tests of your own DAGs (`make verify DAG=sales`).

load_dag("sales") is the DAG, read from its file, without a database.
run_dag("sales", "2024-01-01") runs the DAG in this process, in a second or two: a Run.
backfill("sales", "2024-01-01", "2024-01-03") runs a real backfill: a Line. The first one starts
the servers, and all tests of a run share them.
"""

import contextlib
import functools
import glob
import io
import json
import logging
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

import pytest

from airflow_sandbox.logs import import_error
from airflow_sandbox.paths import dags_folder
from airflow_sandbox.progress import LINE
from airflow_sandbox.servers import HOST, free_port, wait
from airflow_sandbox.ui import find_running

# Of what a backfill prints: all progress lines but the last one, and what is about web pages.
NOISE = re.compile(
    r"^   (the servers of the Airflow UI|to watch it:) .*\n"
    r"|^INFO - \[backfill progress\].*\n(?=INFO - \[backfill progress\])",
    re.MULTILINE,
)


@dataclass
class Line:
    """The last progress line of a backfill. The numbers but the first two count task instances.

    finished, runs: DAG runs that have ended, of how many. failed: also those that could not run
    because of a failure. deadlocked: those that can never run, and not_ready, too. exit_code: 0
    if all succeeded or were skipped. output: all that the backfill printed, and on a failure the
    end of the failed task's log.
    """

    finished: int
    runs: int
    waiting: int
    succeeded: int
    running: int
    failed: int
    skipped: int
    deadlocked: int
    not_ready: int
    exit_code: int = field(repr=False)
    output: str = field(repr=False)


@dataclass
class Run:
    """A DAG run in one process.

    state: success or failed. tasks: {task id: its state}, or a list of states if it is mapped.
    values: {task id: what it returned}, likewise.
    """

    state: str
    tasks: dict
    values: dict


HOME = Path(os.environ["AIRFLOW_HOME"])
ENVIRONMENT = dict(os.environ)  # of the servers, and of all backfills
# Of Airflow's own words in this process, a failed test is to show the errors alone.
os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "ERROR"
os.environ["AIRFLOW__LOGGING__NAMESPACE_LEVELS"] = ""
# The message of an import error is to name its line, however deep in Airflow it was raised.
os.environ["AIRFLOW__CORE__DAGBAG_IMPORT_ERROR_TRACEBACK_DEPTH"] = "100"


def fail(message):
    """Let a test fail with this message, and no traceback of ours."""
    pytest.fail(message, pytrace=False)


@pytest.fixture(scope="session")
def load_dag():
    """A function: load_dag("sales") returns the DAG of that id, as its file defines it.

    If there is none, the test fails with what is wrong with the file: an error, a cycle.
    """
    from airflow.dag_processing.dagbag import DagBag

    folder = dags_folder(HOME)
    sys.path.append(str(folder))  # as Airflow has it: a DAG's file may import others there

    @functools.cache
    def read(place):
        # What is wrong is said below, in a line.
        logging.disable()
        with contextlib.redirect_stdout(io.StringIO()):
            bag = DagBag(str(place))
        logging.disable(logging.NOTSET)
        return bag

    def load(dag_id):
        # Mostly the file has the DAG's name. Then the other files are not read, nor blamed.
        for place in [*sorted(folder.rglob(f"{glob.escape(dag_id)}.py")), folder]:
            bag = read(place)
            if dag_id in bag.dags:
                return bag.dags[dag_id]
            if bag.import_errors:
                break
        wrong = [import_error(file, text) for file, text in sorted(bag.import_errors.items())]
        there = " ".join(sorted(bag.dags)) or "none"
        return fail("\n".join(wrong) or f"there is no DAG {dag_id}; these are: {there}")

    return load


@pytest.fixture(scope="session")
def stored(request):
    """A function that returns when Airflow has stored a DAG, or fails with what is wrong."""
    command = ["libexec/store-dags"]
    outcome = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT)

    def check(dag_id):
        dags = HOME / "dags.stored"
        if not dags.exists():
            fail(outcome.stderr.strip())
        known = dags.read_text("utf-8").split()
        if dag_id not in known:
            unread = dags.with_suffix(".unread").read_text("utf-8").strip()
            fail(unread or f"there is no DAG {dag_id}; these are: {' '.join(known) or 'none'}")

    if any("backfill" in item.fixturenames for item in request.session.items):
        request.getfixturevalue("servers")  # they get ready while other tests run
    return check


@pytest.fixture(scope="session")
def run_dag(stored, load_dag):
    """A function: run_dag("sales", "2024-01-01", conf={"size": 1}) runs the DAG for a day, by
    Airflow's dag.test(), and returns a Run. What the tasks print is shown if the test fails."""

    def run(dag_id, day, conf=None):
        dag = load_dag(dag_id)
        stored(dag_id)
        date = datetime.fromisoformat(day).replace(tzinfo=timezone.utc)
        done = dag.test(logical_date=date, run_conf=conf)
        tasks, values = {}, {}
        for ti in done.get_task_instances():
            value = ti.xcom_pull(task_ids=ti.task_id, map_indexes=ti.map_index)
            for found, what in (tasks, str(ti.state)), (values, value):
                if ti.map_index < 0:
                    found[ti.task_id] = what
                else:
                    found.setdefault(ti.task_id, []).append(what)
        return Run(str(done.state), tasks, values)

    return run


@pytest.fixture(scope="session")
def servers():
    """Airflow's servers, as those of `make ui` but without web pages, until the last test."""
    port = free_port()
    url = f"http://{HOST}:{port}/execution/"
    commands = [
        f"airflow api-server --apps execution --host {HOST} --port {port} --workers 1",
        "airflow scheduler --skip-serve-logs",
        "airflow dag-processor",
        "airflow triggerer --skip-serve-logs",
    ]
    command = ["libexec/ui", "--warm", "--port", str(port), "--health", "/execution/health"]
    for each in commands:
        command += ["--server", each]
    settings = {
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": url,
        # No runs but those of the tests.
        "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
    }
    log = HOME / "logs/servers.log"
    log.parent.mkdir(exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env={**ENVIRONMENT, **settings}
        )
    # From then on a backfill finds them, and waits until they are ready.
    wait(lambda: find_running(HOME) or process.poll() is not None, "the servers to start")
    yield
    process.terminate()
    process.wait()


@pytest.fixture(scope="session")
def backfill(stored):
    """A function: backfill("sales", "2024-01-01", "2024-01-03") runs these days and returns the
    Line. More words are options of `airflow backfill create`; conf={"size": 1} is the parameters.
    What the backfill prints is shown if the test fails."""

    def run(dag_id, start, end=None, *options, conf=None):
        stored(dag_id)
        words = ["-s", start, "-e", end or start, *options]
        if conf is not None:
            words += ["--dag-run-conf", json.dumps(conf)]
        done = subprocess.run(
            ["bin/backfill", dag_id, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**ENVIRONMENT, "RUN_AGAIN": f"make verify DAG={dag_id}"},
            encoding="utf-8",
        )
        output = NOISE.sub("", done.stdout)
        print(output)
        lines = LINE.findall(output)
        if not lines:
            fail(f"the backfill of {dag_id} did not start: {output.strip().splitlines()[-1]}")
        numbers = map(int, re.findall(r"\d+", lines[-1]))
        return Line(*numbers, done.returncode, output)

    return run
