"""After `make all`, the learner edits the DAG: what runs next is what it says now."""

import re
import shutil

import pytest
from support.checkouts import dag_file
from support.lines import all_succeeded, progress

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


def schedule_of(checkout):
    return re.search(r"schedule(?:_interval)?=(.*),", dag_file(checkout).read_text())[1]


def test_a_task_that_was_added_a_moment_ago_is_listed_and_runs(ran):
    """Airflow 3 alone would take no notice of the change within 30 seconds."""
    text = dag_file(ran).read_text()
    chain = "get_data >> run_regression >> print_results"
    task = text[text.index("print_results = BashOperator(") : text.index(chain)]
    fourth = task.replace("print_results", "a_fourth").replace("/a_fourth.py", "/print_results.py")
    indent = re.search(rf"^( *){chain}", text, re.MULTILINE)[1]
    edit(ran, chain, f"{fourth.strip()}\n\n{indent}{chain} >> a_fourth")
    outcome = ran.make("all", f"DATE={DAY}")
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert re.search("^a_fourth$", outcome.stdout, re.MULTILINE)
    assert progress(outcome.stdout)[-1]["succeeded"] == 4


def test_a_task_that_was_removed_is_counted_nowhere(ran):
    edit(ran, " >> a_fourth", "")
    text = dag_file(ran).read_text()
    start = text.index("a_fourth = BashOperator(")
    dag_file(ran).write_text(text[:start] + text[text.index("get_data >> run", start) :])
    # Airflow 1.10 fails on a day that once had the task.
    day = "2024-05-03" if ran.edition == "1.10" else DAY
    outcome = ran.make("backfill", f"DATE={day}")
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert progress(outcome.stdout)[-1] == all_succeeded()


def test_two_files_that_define_a_dag_are_refused(ran):
    """A copy, kept as a backup, whose name no Makefile could have as a prerequisite."""
    copy = dag_file(ran).with_name("dag_example (copy) $x: #1.py")
    shutil.copy2(dag_file(ran), copy)
    for _ in "once", "again":
        outcome = ran.make("backfill", f"DATE={DAY}")
        assert outcome.returncode == 2
        assert progress(outcome.stdout) == []
        folder = dag_file(ran).parent.relative_to(ran.path)
        two = f"two files define dag_test: {folder}/{copy.name} and {folder}/{dag_file(ran).name}. "
        assert two in outcome.stderr
    copy.unlink()
    outcome = ran.make("list-dags")
    assert outcome.returncode == 0, outcome.stderr
    assert "two files" not in outcome.stderr


def test_a_broken_file_is_named_with_its_line_and_other_dags_run(ran):
    broken = dag_file(ran).with_name("broken.py")
    broken.write_text("from airflow import DAG\n\nschedule = daily\n")
    outcome = ran.make("list-dags")
    assert outcome.returncode == 0, outcome.stderr
    place = "broken.py" if ran.edition == "1.10" else "broken.py:3: NameError"  # all that it keeps
    assert f"{place}: name 'daily' is not defined" in outcome.stderr
    assert re.search(r"^dag_test\b", outcome.stdout, re.MULTILINE)
    broken.unlink()


def test_a_dag_that_was_deleted_from_the_database_is_listed_again(ran):
    commands = ["airflow db reset --yes", "airflow dags delete --yes dag_test"]
    if ran.edition != "3":  # whose database need not know the DAG
        commands = ["airflow resetdb --yes" if ran.edition == "1.10" else commands[0]]
    for command in commands:
        deleted = ran.run("bin/sandbox", *command.split())
        assert deleted.returncode == 0, deleted.stdout + deleted.stderr
        outcome = ran.make("list-dags")
        assert outcome.returncode == 0, outcome.stdout + outcome.stderr
        assert re.search(r"^dag_test\b", outcome.stdout, re.MULTILINE)
        if ran.edition == "3":  # whose database it has to be in, to run
            assert "Store the DAGs" in outcome.stdout


def test_a_dag_that_no_file_has_any_more_is_neither_listed_nor_run(ran):
    edit(ran, '"dag_test"', '"renamed"')
    outcome = ran.make("list-dags")
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert re.search(r"^renamed\b", outcome.stdout, re.MULTILINE)
    assert not re.search(r"^dag_test\b", outcome.stdout, re.MULTILINE)
    outcome = ran.make("backfill", f"DATE={DAY}")
    assert outcome.returncode == 2
    assert progress(outcome.stdout) == []
    edit(ran, '"renamed"', '"dag_test"')


def test_of_a_range_the_last_day_that_ran_is_shown(ran):
    """@weekly has a run on Sunday, 28 April; of the days after it there are older results."""
    days = ["START=2024-04-27", f"END={DAY}"]
    before = schedule_of(ran)
    edit(ran, f"={before},", '="@weekly",')
    outcome = ran.make("all", *days)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert "The last day that had a run is 2024-04-28." in outcome.stdout
    assert f"Picture: results/{ran.edition}/2024-04-28/bias_variance.png" in outcome.stdout
    edit(ran, '="@weekly",', f"={before},")


@pytest.mark.parametrize("schedule", ['"@weekly"', "None"])
def test_a_day_without_a_run_is_an_error_and_no_older_results_pass_for_its(ran, schedule):
    assert (ran.path / "results" / ran.edition / DAY / "results.csv").exists()
    edit(ran, f"={schedule_of(ran)},", f"={schedule},")
    outcome = ran.make("all", f"DATE={DAY}")
    if (ran.edition, schedule) == ("1.10", "None"):  # its backfill runs the first day all the same
        assert (outcome.returncode, progress(outcome.stdout)[-1]["succeeded"]) == (0, 3)
        return
    assert outcome.returncode == 2
    assert "Show the results" not in outcome.stdout
    assert "train MSE" not in outcome.stdout.rpartition("a backfill of dag_test")[2]
    if ran.edition != "3":
        assert "supervise: no task was run." in outcome.stderr
