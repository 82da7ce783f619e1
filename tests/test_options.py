"""make's DAG and OPTIONS: any DAG, with Airflow's own options of a backfill."""

import os
import re

import pytest
from support.lines import progress
from support.pages import READY, Served

DAGS = """
from datetime import datetime
from airflow.sdk import DAG, Variable
from airflow.providers.standard.operators.bash import BashOperator

Variable.get("colour")  # from the metadata database, for `airflow tasks list` as well

with DAG("größe", schedule="@daily", start_date=datetime(2019, 1, 1), catchup=False):
    BashOperator(task_id="say", bash_command="echo {{ dag_run.conf.get('word') }}; sleep 1")
"""
DAYS = ["DAG=größe", "START=2024-01-01", "END=2024-01-03"]

pytestmark = [pytest.mark.xdist_group(__name__), pytest.mark.slow]  # they share a checkout


@pytest.fixture(scope="module")
def checkout(new_checkout):
    checkout = new_checkout()
    (checkout.path / "dags/mine.py").write_text(DAGS)
    (checkout.path / "dags/broken.py").write_text("import airflow, no_such_dag\n")
    checkout.succeed("initdb")
    variable = ["bin/sandbox", "airflow", "variables", "set", "colour", "blue"]
    assert checkout.run(*variable).returncode == 0
    checkout.succeed("list-dags")
    return checkout


def backfill(checkout, *arguments):
    """Run make backfill; return its subprocess.CompletedProcess, all output in stdout."""
    outcome = checkout.make("backfill", *DAYS, *arguments)
    outcome.stdout += outcome.stderr
    return outcome


def started(checkout):
    """Return the days of the DAG runs of größe in the order in which their tasks started."""
    logs = checkout.home.glob("logs/dag_id=größe/run_id=backfill_*/task_id=say/attempt=*.log")
    newest = sorted(logs, key=lambda log: log.stat().st_mtime)[-3:]
    return [re.search(r"backfill__(\S{10})", str(log))[1] for log in newest]


@pytest.mark.parametrize("target", ["list-tasks", "backfill", "ui"])
def test_an_unknown_dag_is_refused_with_those_there_are_and_files_that_failed(checkout, target):
    outcome = checkout.make(target, "DAG=nope")
    assert outcome.returncode == 2
    unread, unknown = re.findall("^check-dag: .*", outcome.stderr, re.MULTILINE)
    assert re.fullmatch(r"check-dag: dags/broken.py:1: ModuleNotFoundError: .*", unread)
    known = "these are: dag_test größe; DAGS=FOLDER names another folder"
    assert unknown == f"check-dag: there is no DAG nope; {known}"


def test_any_dag_is_listed_and_run_backwards_one_at_a_time_with_a_configuration(checkout):
    assert "\nsay\n" in checkout.make("list-tasks", "DAG=größe").stdout
    options = """--run-backwards --max-active-runs 1 --dag-run-conf '{"word": "hello you"}'"""
    outcome = checkout.make("all", *DAYS, f"OPTIONS={options}")
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert progress(outcome.stdout)[-1]["succeeded"] == 3
    assert "results" not in outcome.stdout.partition("Run a backfill of größe")[2]
    assert started(checkout) == ["2024-01-03", "2024-01-02", "2024-01-01"]
    log = next(checkout.home.glob("logs/dag_id=größe/run_id=*2024-01-01*/*/attempt=*.log"))
    assert "hello you" in log.read_text()


def test_a_dry_run_lists_the_days_and_runs_nothing(checkout):
    before = started(checkout)
    outcome = backfill(checkout, "OPTIONS=--dry-run")
    assert outcome.returncode == 0, outcome.stdout
    assert re.search("2024-01-01.*2024-01-02.*2024-01-03", outcome.stdout, re.DOTALL)
    assert "backfill progress" not in outcome.stdout
    assert started(checkout) == before


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("--max-active-runs 0", "invalid positive int"),
        ("--max-active-runs many", "invalid positive int"),
        ("--dag-run-conf {", "not a JSON object"),
        ("--dag-run-conf [1]", "not a JSON object"),
        ("--reprocess-behavior all", "invalid choice"),
        ("--no-such-option", "unrecognized"),
        ("'", "No closing quotation"),
        ("; touch hacked", "unrecognized"),
    ],
)
def test_wrong_options_are_refused_in_one_line(checkout, options, reason):
    outcome = backfill(checkout, f"OPTIONS={options}")
    assert outcome.returncode == 2
    assert reason in outcome.stdout
    assert "Traceback" not in outcome.stdout
    assert not (checkout.path / "hacked").exists()


def test_beside_the_ui_the_same_and_days_that_are_not_to_run_again_do_not(checkout):
    served = Served(checkout, READY, "DAG=größe")
    try:
        assert f"größe is at http://127.0.0.1:{served.port}/dags/größe" in served.output
        options = "--run-backwards --max-active-runs 1"
        outcome = backfill(checkout, f"OPTIONS={options}")
        assert outcome.returncode == 0, outcome.stdout
        assert "the servers of the Airflow UI run it" in outcome.stdout
        assert started(checkout) == ["2024-01-03", "2024-01-02", "2024-01-01"]
        # The folder that is served, by its name, too.
        none = "OPTIONS=--reprocess-behavior none"
        again = backfill(checkout, none, "END=2024-01-05", "DAGS=dags")
        assert again.returncode == 0, again.stdout
        assert re.search(r"not run again: 2024-01-01 \(.*\), 2024-01-02 \(", again.stdout)
        nothing = backfill(checkout, none)
        assert nothing.returncode == 2
        assert "backfill: nothing of größe is to be run for these days" in nothing.stdout
        (checkout.path / "other").mkdir()
        (checkout.path / "other/dag.py").write_text(DAGS.replace("größe", "other"))
        elsewhere = checkout.make("backfill", "DAG=other", "DAGS=other")
        assert "the Airflow UI serves another folder of DAGs, dags; name that" in elsewhere.stderr
    finally:
        served.stop()


def test_the_dags_may_be_in_another_folder_for_once_or_for_good(checkout, tmp_path):
    folder = tmp_path / "my dags, 100%"
    folder.mkdir()

    def ids(*variables):
        return re.findall(
            r"^(\S+) +\|.*\| False *$", checkout.succeed("list-dags", *variables), re.M
        )

    (folder / "a.py").write_text(DAGS.replace("größe", "one"))
    assert ids(f"DAGS={folder}") == ["one"]
    (folder / "a.py").write_text(DAGS.replace("größe", "two"))
    days = ["DAG=two", "DATE=2024-01-01"]
    output = checkout.succeed("backfill", *days, f"DAGS={os.path.relpath(folder, checkout.path)}")
    assert progress(output)[-1]["succeeded"] == 1
    again = re.search(r"^\$ (AIRFLOW_SANDBOX=3 DAGS=.*) bin/backfill", output, re.M)[1]
    show = f"{again} airflow config get-value core dags_folder"
    assert checkout.run("bash", "-c", show).stdout.strip() == str(folder)
    assert ids() == ["dag_test", "größe"]
    config = checkout.home / "airflow.cfg"
    text = config.read_text().replace(f"{checkout.path}/dags".replace("%", "%%"), "gone")
    config.write_text(text)
    outcome = checkout.make("list-dags")
    assert outcome.returncode == 2
    assert f"gone is not a folder; see dags_folder in {config}" in outcome.stderr
    config.write_text(text.replace("= gone", f"= {folder}".replace("%", "%%")))
    (checkout.path / "editions/3/settings.cfg").write_text("[core]\nparallelism = 7\n")
    assert ids() == ["two"]
    assert "parallelism = 7" in config.read_text()
