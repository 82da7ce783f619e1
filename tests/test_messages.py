"""What a message tells you to type next is the whole command, can be pasted, and helps."""

import re
import shlex
import subprocess

import pytest
from airflow_sandbox import hints
from support.checkouts import PROJECT

CONF = """--dag-run-conf {"size":1,"why":"it's a test"}"""
# Messages of troubleshooting.md that are Airflow's, a tool's or the system's.
OTHERS = {
    *["Configuration file could not be loaded", "Missing dependencies for SOCKS support"],
    *["No data found", "No such file or directory", "command not found", "could not be found"],
    *["has a non-periodic schedule that does not support backfills", "The conn_id", "(in flight)"],
}

DAGS = """
import pendulum
from airflow.sdk import BaseHook, Variable, dag, task

@dag(schedule="@daily", start_date=pendulum.datetime(2024, 1, 1), catchup=False)
def fails():
    @task(retries=1, retry_delay=1)
    def module(dag_run=None):
        print("size", dag_run.conf["size"], dag_run.conf["why"])
        import no_such_module.part
    @task
    def connection():
        BaseHook.get_connection("my_db")
    @task
    def variable():
        Variable.get("my_var")
    module(), connection(), variable()

fails()
"""


@pytest.fixture(scope="module")
def slow(new_checkout):
    checkout = new_checkout()
    (checkout.path / "dags/fails.py").write_text(DAGS)
    return checkout


def test_the_messages_on_the_page_are_those_of_the_code():
    files = ["Makefile", "bin", "libexec", "pipeline"]
    code = subprocess.run(["git", "ls-files", *files], cwd=PROJECT, capture_output=True, text=True)
    code = "\n".join((PROJECT / file).read_text() for file in code.stdout.splitlines())
    code = " ".join(re.sub(r'"(?:\s*\\\n)?\s+f?"', "", code).split())  # a string of two lines
    page = (PROJECT / "docs/troubleshooting.md").read_text()
    heads = re.findall(r'^\*\*(.+?)\*\*|^- \*("[^"]+")\*', page, re.MULTILINE | re.DOTALL)
    messages = re.findall('[`"]([^`"]+)[`"]', " ".join(map(" ".join, heads)))
    # Without the names that stand for yours.
    names = r"…|[:,;]|frist|\d+|SIGILL|\bmine\b|'?dag_test'?|\bCERT\b|\bssl\b|\bapi-server\b"
    parts = {
        " ".join(part.split()).strip("' ") for text in messages for part in re.split(names, text)
    }
    assert {part for part in parts if " " in part and part not in code} == OTHERS


def told(text, target):
    """Return the make command for a target that a text tells one to type."""
    (command,) = re.findall(rf"\bmake {target}(?= |$).*", text, re.MULTILINE)
    return command


@pytest.mark.parametrize(
    "given",
    [
        ["DAG=x", f"OPTIONS={CONF}", "V=1", "PYTHON=python3", "MAX_ACTIVE_RUNS=2"],
        ["DAG=x", "DB=postgres", "DB_URL=postgresql://me:secret@host/db", "DATA_URL=http://a/b"],
        ["DAG=x", "EXECUTOR=celery", "BROKER_URL=redis://:secret@host/0", "SHARED=/tmp"],
    ],
)
def test_a_refusal_names_all_variables_and_no_password(slow, given):
    refused = slow.make("report", *given)
    words = [re.sub("=.*secret.*", "=...", word) for word in given]
    assert sorted(shlex.split(told(refused.stderr, "ui"))[2:]) == sorted(words)


def test_the_command_that_is_told_runs_the_same_again_and_each_failure_has_its_hint(slow):
    outcome = slow.make("backfill", "DAG=fails", "DATE=2024-01-02", f"OPTIONS={CONF}")
    command = told(outcome.stderr, "backfill")
    again = slow.run("bash", "-c", command)
    assert told(again.stderr, "backfill") == command
    logs = list(slow.home.glob("logs/dag_id=fails/*/task_id=module/attempt=*.log"))
    assert len(logs) == 4 and all("size 1 it's a test" in log.read_text() for log in logs)
    # The end of its log is shown, and tries of earlier runs do not count.
    retry = r"module of \S+ failed \(try 1 of 2\) and will be tried again; .*\n(?: +\| .*\n)+"
    (end,) = re.findall(retry, again.stdout)
    assert "dags/fails.py:10, in module: ModuleNotFoundError" in end
    assert "add no_such_module (or the package that has it) to my-requirements.txt" in again.stdout
    assert "bin/sandbox airflow connections add my_db --conn-uri TYPE://" in again.stdout
    assert "bin/sandbox airflow variables set my_var VALUE" in again.stdout


def test_hints_are_for_this_installation_and_not_for_what_is_there(monkeypatch):
    monkeypatch.setenv("SANDBOX_VARIABLES", " EXECUTOR=celery")
    monkeypatch.setenv("SANDBOX_BY_HAND", " AIRFLOW_SANDBOX=3-celery")
    none = hints.hint("x has a non-periodic schedule that does not support backfills")
    assert none == "to run it once: AIRFLOW_SANDBOX=3-celery bin/sandbox airflow dags test x"
    amazon = hints.hint("No module named 'airflow.providers.amazon.aws'")
    assert amazon.startswith("add apache-airflow-providers-amazon (or ")
    assert amazon.endswith("then: make env EXECUTOR=celery")
    monkeypatch.setenv("AIRFLOW_HOME", "/checkout/.sandbox/3-tests/airflow")
    in_tests = hints.hint("Variable rate not found")
    assert in_tests == "write AIRFLOW_VAR_RATE=VALUE to .env"
    undefined = "UndefinedError: 'execution_date' is undefined"
    monkeypatch.setenv("GENERATION", "3")
    assert hints.hint(undefined).startswith("Airflow 3 has logical_date, ")
    monkeypatch.setenv("GENERATION", "2")
    assert hints.hint(undefined) == ""
    assert hints.hint("No module named 'airflow.sdk'") == ""


def test_what_airflow_3_has_renamed_is_found_by_the_command_that_is_told(slow):
    file = slow.path / "dags/old.py"
    file.write_text(
        "from airflow.operators.bash_operator import BashOperator\n"
        "from airflow import DAG\n"
        "with DAG('old', schedule_interval='@daily'):\n"
        "    BashOperator(task_id='a', bash_command='true')\n"
    )
    said = slow.succeed("list-dags")
    assert "old.py:1: ModuleNotFoundError: No module named 'airflow.operators" in said
    command = re.search("what to write for Airflow 3: (bin/sandbox uvx .* dags)$", said, re.M)[1]
    found = slow.run("bash", "-c", command).stdout
    assert "`airflow.providers.standard.operators.bash`" in found and "`schedule`" in found
    file.write_text("\n".join(file.read_text().splitlines()[1:]))
    assert "'schedule_interval'; if Airflow 2 had it, this says" in slow.succeed("list-dags")
    file.unlink()
