"""After `make all`, the learner edits the DAG: what runs next is what it says now."""

import re

import pytest
from conftest import dag_file
from test_end_to_end import progress

pytestmark = pytest.mark.xdist_group(__name__)  # they share a checkout

DAY = "2024-05-02"  # a Thursday; @weekly is Sunday's


@pytest.fixture(scope="module")
def ran(new_checkout):
    """A Checkout in which DAY has been run, by the DAG as it comes."""
    checkout = new_checkout()
    outcome = checkout.make("all", f"DATE={DAY}")
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    return checkout


def edit(checkout, old, new):
    file = dag_file(checkout)
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


def test_a_task_that_was_added_a_moment_ago_is_listed_and_runs(ran):
    """Airflow 3 alone would take no notice of the change within 30 seconds."""
    text = dag_file(ran).read_text()
    chain = "get_data >> run_regression >> print_results"
    task = text[text.index("print_results = BashOperator(") : text.index(chain)]
    fourth = task.replace("print_results", "a_fourth")
    indent = re.search(rf"^( *){chain}", text, re.MULTILINE)[1]
    edit(ran, chain, f"{fourth.strip()}\n\n{indent}{chain} >> a_fourth")
    outcome = ran.make("all", f"DATE={DAY}")
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert re.search("^a_fourth$", outcome.stdout, re.MULTILINE)
    assert progress(outcome.stdout)[-1]["succeeded"] == 4


@pytest.mark.parametrize("schedule", ['"@weekly"', "None"])
def test_a_day_without_a_run_is_an_error_and_no_older_results_pass_for_its(ran, schedule):
    assert (ran.path / "results" / ran.edition / DAY / "results.csv").exists()
    before = re.search(r"schedule(?:_interval)?=(.*),", dag_file(ran).read_text())[1]
    edit(ran, f"={before},", f"={schedule},")
    outcome = ran.make("all", f"DATE={DAY}")
    if (ran.edition, schedule) == ("1.10", "None"):  # its backfill runs the first day all the same
        assert (outcome.returncode, progress(outcome.stdout)[-1]["succeeded"]) == (0, 4)
        return
    assert outcome.returncode == 2
    assert "Show the results" not in outcome.stdout
    assert "train MSE" not in outcome.stdout.rpartition("a backfill of dag_test")[2]
    if ran.edition != "3":
        assert "supervise: no task was run." in outcome.stderr
