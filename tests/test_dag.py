"""dag_test, as Airflow itself reads it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.fixture(scope="module")
def dag(tmp_path_factory):
    """The DAG, as plain data, read by the sandbox's Airflow."""
    environment = {**os.environ, "AIRFLOW_HOME": str(tmp_path_factory.mktemp("airflow"))}
    command = [sys.executable, "-c", DESCRIBE, str(DAG_FILE)]
    outcome = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stderr
    return json.loads(outcome.stdout.splitlines()[-1])


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
