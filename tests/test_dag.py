"""dag_test, as Airflow itself reads it."""

import json
import os
import runpy
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.guarantees import guarantee

DAG_FILE = Path(__file__).resolve().parent.parent / "dags/dag_example.py"

DESCRIBE = """
import json, runpy, sys
dag = runpy.run_path(sys.argv[1])["dag"]
print(json.dumps({
    "dag_id": dag.dag_id,
    "catchup": dag.catchup,
    "downstream": {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks},
    "commands": {task.task_id: task.bash_command for task in dag.tasks},
}))
"""


def describe(dag_file, home):
    """Return the DAG of a file, as plain data, read by the sandbox's Airflow."""
    environment = {**os.environ, "AIRFLOW_HOME": str(home)}
    command = [sys.executable, "-c", DESCRIBE, str(dag_file)]
    outcome = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stderr
    return json.loads(outcome.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def dag(tmp_path_factory):
    return describe(DAG_FILE, tmp_path_factory.mktemp("airflow"))


def test_dag_test_has_three_tasks_in_a_row(dag):
    assert dag["dag_id"] == "dag_test"
    assert dag["catchup"] is False
    assert dag["downstream"] == {
        "get_data": ["run_regression"],
        "run_regression": ["print_results"],
        "print_results": [],
    }


def test_its_commands_name_this_interpreter_and_this_checkout_only(dag):
    for command in dag["commands"].values():
        assert command.startswith(f"cd {DAG_FILE.parent.parent}")
        assert sys.executable in command
        assert "{{ ds }}" in command


def test_the_dag_of_edition_1_10_runs_the_same_commands(dag, monkeypatch):
    class Noted:  # for Airflow 1.10, which this environment can't have: keeps what it is given
        def __init__(self, *_, **given):
            self.given = given

        def __rshift__(self, other):
            return other

    monkeypatch.setitem(sys.modules, "airflow", SimpleNamespace(DAG=Noted))
    operators = SimpleNamespace(BashOperator=Noted)
    monkeypatch.setitem(sys.modules, "airflow.operators.bash_operator", operators)
    old = runpy.run_path(str(DAG_FILE.parent.parent / "editions/1.10/dags/dag_example.py"))
    for task, command in dag["commands"].items():
        assert old[task].given["bash_command"] == command.replace("results/3/", "results/1.10/")


@guarantee(
    "Damage",
    "a user's file in the results folder",
    "stays; only the kit's own are renewed",
)
def test_get_data_removes_an_earlier_runs_results_and_nothing_else(new_checkout, tmp_path):
    checkout = new_checkout()
    folder = checkout.path / "results/3/2024-02-29"
    folder.mkdir(parents=True)
    for name in ("auto-mpg.data", "results.csv", "bias_variance.png", "notes.txt", "report.html"):
        (folder / name).write_text("older")
    began = datetime.now(timezone.utc)
    # What the DAG run has made itself, as a second copy of the task would find it.
    os.utime(folder / "report.html", times=(began.timestamp() + 1,) * 2)
    commands = describe(checkout.path / "dags/dag_example.py", tmp_path)["commands"]
    # While at it: a DATA_URL that a shell would run, if one ever read it as code.
    url = "http://$(touch pwned)`touch pwned`;touch pwned&touch pwned|touch pwned\ntouch pwned\n"
    outcome = checkout.run(
        "bin/sandbox",
        "bash",
        "-c",
        commands["get_data"]
        .replace("{{ ds }}", "2024-02-29")
        .replace("{{ dag_run.start_date }}", str(began)),
        env={**os.environ, "DATA_URL": url},
    )
    assert outcome.returncode == 0, outcome.stderr
    assert "using the embedded copy" in outcome.stdout
    assert list(checkout.path.rglob("pwned")) == []
    assert sorted(os.listdir(folder)) == ["auto-mpg.data", "notes.txt", "report.html"]
    assert (folder / "notes.txt").read_text() == "older"
    assert (folder / "auto-mpg.data").stat().st_size == 30286


def test_python_dag_example_by_hand_creates_the_dag_without_a_word(tmp_path):
    # From another folder, with an environment that holds nothing.
    outcome = subprocess.run(
        [sys.executable, str(DAG_FILE)],
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
    )
    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (0, "", "")


def test_airflow_imports_the_dags_folder_without_an_error(finished):
    command = ["bin/sandbox", "airflow", "dags", "list-import-errors", "--local"]
    outcome = finished.run(*command)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def test_a_dag_that_does_not_import_stops_make_before_the_backfill(new_checkout):
    checkout = new_checkout()
    checkout.done("config", "initdb")
    with (checkout.path / "dags/dag_example.py").open("a") as file:
        file.write("\nthis_name_is_not_defined\n")
    outcome = checkout.make("backfill")
    assert outcome.returncode == 2
    assert "this_name_is_not_defined" in outcome.stderr
    assert "backfill progress" not in outcome.stdout
