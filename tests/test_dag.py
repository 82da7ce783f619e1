"""dag_test, as Airflow itself reads it."""

import json
import os
import re
import runpy
import subprocess
import sys
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
    "tasks": [
        [task.cwd, task.env, task.append_env, task.execution_timeout.total_seconds()]
        for task in dag.tasks
    ],
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


def test_dag_test_has_three_tasks_in_a_row_that_run_in_this_checkout_and_end_in_time(dag, tmp_path):
    assert dag["dag_id"] == "dag_test"
    assert dag["catchup"] is False
    assert dag["downstream"] == {
        "get_data": ["run_regression"],
        "run_regression": ["print_results"],
        "print_results": [],
    }

    here = str(DAG_FILE.parent.parent)
    assert dag["tasks"] == [[here, {"DAY": "{{ ds }}"}, True, 300.0]] * 3
    (tmp_path / "by another way").symlink_to(DAG_FILE.parent)
    other = describe(tmp_path / "by another way" / DAG_FILE.name, tmp_path)
    assert other["tasks"] == dag["tasks"]


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
        given = old[task].given["bash_command"].replace("results/1.10/{{ ds }}", "$RESULTS/$DAY")
        assert given == 'cd "$AIRFLOW_HOME/../../.." && ' + command.replace('"', "")


def test_a_shell_does_not_run_what_is_in_a_value(new_checkout, tmp_path):
    checkout = new_checkout()
    command = describe(checkout.path / "dags/dag_example.py", tmp_path)["commands"]["get_data"]
    url = "http://$(touch pwned)`touch pwned`;touch pwned&touch pwned|touch pwned\ntouch pwned\n"
    shared = tmp_path / "a folder & 100% $(touch pwned)"
    for shared_by, folder in (None, checkout.path), (str(shared), shared):
        environment = {
            **os.environ,
            "AIRFLOW_SANDBOX": "3",  # by which bin/sandbox knows that make calls it
            "DATA_URL": url,
            **({"SHARED": shared_by} if shared_by else {}),
        }
        # As BashOperator does: with the DAG run's day in the environment.
        inside = ["bin/sandbox", "env", "DAY=2024-02-29", "bash", "-c", command]
        outcome = checkout.run(*inside, env=environment)
        assert outcome.returncode == 0, outcome.stderr
        assert "using the embedded copy" in outcome.stdout
        assert os.listdir(folder / "results/3/2024-02-29") == ["auto-mpg.data"]
    assert list(checkout.path.rglob("pwned")) == []


@guarantee(
    "Damage",
    "a user's file in the results folder",
    "stays; only the kit's own are renewed",
)
def test_a_backfill_voids_the_results_of_its_days_and_nothing_else(tmp_path):
    names = ["auto-mpg.data", "bias_variance.png", "notes.txt", "report.html", "results.csv"]

    def left(**variables):
        for day in "2024-02-28", "2024-02-29", "2024-03-01", "mine":
            (tmp_path / day).mkdir(exist_ok=True)
            for name in names:
                (tmp_path / day / name).write_text("older")
        days = {"START": "2024-02-29", "END": "2024-03-01", "OPTIONS": "", **variables}
        command = [DAG_FILE.parent.parent / "libexec/void-results", tmp_path]
        subprocess.run(command, env={**os.environ, **days}, check=True)
        return {path.name: sorted(os.listdir(path)) for path in tmp_path.iterdir()}

    outside = {"2024-02-28": names, "mine": names}
    kept = ["auto-mpg.data", "notes.txt"]
    for options in "", "--run-backwards", '--dag-run-conf {"a":1}':
        assert left(OPTIONS=options) == {**outside, "2024-02-29": kept, "2024-03-01": kept}
    assert left(END="2024-02-29") == {**outside, "2024-02-29": kept, "2024-03-01": names}
    for options in "--dry-run", "--reprocess-behavior none", "--reprocess-behavior=failed":
        assert set(map(tuple, left(OPTIONS=options).values())) == {tuple(names)}


def test_airflow_imports_the_dags_folder_without_an_error_or_a_warning(finished):
    # Yours, too: what make all said of them is the message.
    if wrong := re.findall("^store-dags: (.+)", finished.all.stdout, re.MULTILINE):
        pytest.fail("\n".join(wrong), pytrace=False)
    command = ["bin/sandbox", "airflow", "dags", "list-import-errors", "--local"]
    outcome = finished.run(*command)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    strict = ["bin/sandbox", "python", "-W", "error", "dags/dag_example.py"]
    outcome = finished.run(*strict)
    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (0, "", "")
