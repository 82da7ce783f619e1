"""After `make all`, the learner edits the DAG: what runs next is what it says now."""

import re
import shutil

import pytest
from airflow_sandbox.servers import wait
from support.checkouts import break_task, dag_file, read_until
from support.lines import GOLDEN, all_succeeded, progress, results_of

pytestmark = pytest.mark.xdist_group(__name__)  # they share a checkout

DAY = "2024-05-02"  # a Thursday; @weekly is Sunday's


@pytest.fixture(scope="module")
def ran(new_checkout):
    """A Checkout that knows the DAG as it comes; the first test runs it."""
    checkout = new_checkout()
    checkout.succeed("list-dags")
    return checkout


def edit(checkout, old, new):
    file = dag_file(checkout)
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


def write_older_results(checkout):
    """Write results of DAY, as an earlier run would have."""
    folder = results_of(checkout, DAY)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(GOLDEN, folder)
    (folder / "bias_variance.png").write_bytes(b"older")


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


def test_a_task_that_was_removed_is_counted_nowhere_and_a_files_name_hides_no_module(ran):
    named = [dag_file(ran).with_name(f"{name}.py") for name in ("http", "calendar", "pendulum")]
    for file in named:
        file.write_text("raise ImportError('not this one')\n")
    edit(ran, " >> a_fourth", "")
    text = dag_file(ran).read_text()
    start = text.index("a_fourth = BashOperator(")
    dag_file(ran).write_text(text[:start] + text[text.index("get_data >> run", start) :])
    # Airflow 1.10 fails on a day that once had the task.
    day = "2024-05-03" if ran.generation == "1.10" else DAY
    outcome = ran.make("backfill", f"DATE={day}")
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert progress(outcome.stdout)[-1] == all_succeeded()
    for file in named:
        file.unlink()


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


# DAG files that can't be read, and the line about each, after the name of the folder.
BROKEN = {
    "name": ("from airflow import DAG\n\nschedule = daily", ":3: NameError: name 'daily' is .*"),
    "syntax": ("import airflow  # DAG\n\ndef f(:", ":3: SyntaxError: .*"),
    "helped": (
        "import airflow, helper  # DAG\n\nhelper.load()",
        ": {folder}/helper.py:2, in load: KeyError: 'x'",
    ),
}
HEAD = """
import os
from datetime import datetime
from airflow.sdk import DAG, Asset, dag, task
from airflow.providers.standard.operators.bash import BashOperator
from airflow.timetables.simple import OnceTimetable
"""
BROKEN_3 = {
    "argument": (  # whose message has two lines, and no frame of the file among the last ones
        HEAD + "with DAG('argument'):\n    BashOperator(task_id='a', bash_command='b', retry=2)",
        r":8: TypeError: Invalid arguments were passed to BashOperator .* {{'retry': 2}}",
    ),
    "crash": (HEAD + "os.kill(os.getpid(), 4)", ": reading it ended with SIGILL"),
    "exits": (HEAD + "os._exit(3)", ": reading it ended with exit code 3"),
    "timetable": (  # it can be read, but not stored
        HEAD + "class Mine(OnceTimetable):\n    pass\n\nflow = DAG('timetable', schedule=Mine())",
        ": .*SerializationError: .* class 'timetable.Mine' is not registered .*",
    ),
    "uncalled": (
        HEAD + "@dag(\n    schedule=None\n)\ndef mine():\n    pass",
        r": it has no DAG, as mine\(\) is not called",
    ),
}
FAILS = """
from helper import load

with DAG("fails", schedule="@daily", start_date=datetime(2019, 1, 1), catchup=False):
    task(load)()
"""


def test_broken_files_are_named_with_their_lines_and_other_dags_run(ran):
    """Airflow 3 reads each in a process of its own, so not even one that crashes harms others."""
    folder = dag_file(ran).parent
    broken = {**BROKEN, **(BROKEN_3 if ran.generation == "3" else {})}
    for name, (text, _) in broken.items():
        (folder / f"{name}.py").write_text(text + "\n")
    (folder / "helper.py").write_text("def load():\n    return {}['x']\n")
    (folder / "fails.py").write_text(HEAD + FAILS if ran.generation == "3" else "# airflow DAG\n")
    outcome = ran.make("list-dags")
    assert outcome.returncode == 0, outcome.stderr
    lines = re.findall("^store-dags: (.*)", outcome.stderr, re.MULTILINE)
    place = folder.relative_to(ran.path)
    for line, (name, (_, what)) in zip(lines, sorted(broken.items()), strict=True):
        assert re.fullmatch(f"{place}/{name}.py{what.format(folder=place)}", line)
    assert re.search(r"^dag_test\b", outcome.stdout, re.MULTILINE)
    # Of files that are read without an error, it speaks if a DAG is missing.
    outcome = ran.make("list-tasks", "DAG=none")
    assert outcome.returncode == 2 and lines[0] in outcome.stderr
    assert re.search(f"check-dag: not read, .*: {place}/helper.py\n", outcome.stderr)
    assert "\nget_data\n" in ran.succeed("list-tasks")
    if ran.generation == "3":
        outcome = ran.make("backfill", "DAG=fails", f"DATE={DAY}")
        assert outcome.returncode == 2 and progress(outcome.stdout)[-1]["failed"] == 1
        assert f"| {place}/helper.py:2, in load: KeyError: 'x'\n" in outcome.stdout
    else:
        assert f"check-dag: there is no DAG in {place}/fails.py" in outcome.stderr
    for name in [*broken, "helper", "fails"]:
        (folder / f"{name}.py").unlink()


def test_a_file_that_hangs_is_named_and_leaves_no_process(ran):
    if ran.generation != "3":
        return  # Airflow 1.10 and 2 have no limit for what a signal does not end
    file, settings = dag_file(ran).with_name("hangs.py"), ran.home / "airflow.cfg"
    block = "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM, signal.SIGTERM])"
    file.write_text(f"import signal, time, airflow  # DAG\n\n{block}\ntime.sleep(600)\n")
    make = ran.start("make", "list-dags")
    read_until(make, "airflow dag-processor")
    log = "logs/store-dags/2*/*/hangs.py.log"
    wait(lambda: any(ran.home.glob(log)), "the file to be read")
    make.kill()
    make.stdout.close()
    wait(lambda: not ran.processes(), "the processes to end")
    before = settings.read_text()
    limit = "dag_file_processor_timeout = "
    settings.write_text(re.sub(f"{limit}.*", f"{limit}2", before))
    outcome = ran.make("list-dags")
    assert outcome.returncode == 0, outcome.stderr
    assert "store-dags: dags/hangs.py: reading it took more than 2.00 s\n" in outcome.stderr
    assert re.search(r"^dag_test\b", outcome.stdout, re.MULTILINE)
    assert ran.processes() == []
    settings.write_text(before)
    file.unlink()


def test_a_dag_that_was_deleted_from_the_database_is_listed_again(ran):
    commands = ["airflow db reset --yes", "airflow dags delete --yes dag_test"]
    if ran.generation != "3":  # whose database need not know the DAG
        commands = ["airflow resetdb --yes" if ran.generation == "1.10" else commands[0]]
    for command in commands:
        deleted = ran.run("bin/sandbox", *command.split())
        assert deleted.returncode == 0, deleted.stdout + deleted.stderr
        outcome = ran.make("list-dags")
        assert outcome.returncode == 0, outcome.stdout + outcome.stderr
        assert re.search(r"^dag_test\b", outcome.stdout, re.MULTILINE)
        if ran.generation == "3":  # whose database it has to be in, to run
            assert "Store the DAGs" in outcome.stdout


def test_a_dag_that_no_file_has_any_more_is_not_run(ran):
    """Airflow 3 still lists it, as stale: its DAG runs are still there."""
    edit(ran, '"dag_test"', '"renamed"')
    outcome = ran.make("list-dags")
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert re.search(r"^renamed\b.*(?<!\| True) *$", outcome.stdout, re.MULTILINE)
    old = re.search(r"^dag_test\b.*", outcome.stdout, re.MULTILINE)
    assert re.search(r"\| True *$", old[0]) if ran.generation == "3" else old is None
    outcome = ran.make("backfill", f"DATE={DAY}")
    assert outcome.returncode == 2
    assert progress(outcome.stdout) == []
    edit(ran, '"renamed"', '"dag_test"')


def test_of_a_range_the_last_day_that_ran_is_shown(ran):
    """@weekly has a run on Sunday, 28 April; of the days after it there are older results."""
    write_older_results(ran)
    days = ["START=2024-04-27", f"END={DAY}"]
    before = schedule_of(ran)
    edit(ran, f"={before},", '="@weekly",')
    outcome = ran.make("all", *days)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert "The last day that had a run is 2024-04-28." in outcome.stdout
    assert f"Picture: results/{ran.edition}/2024-04-28/bias_variance.png" in outcome.stdout
    edit(ran, '="@weekly",', f"={before},")


def test_after_a_failed_backfill_no_older_results_are_shown(ran):
    write_older_results(ran)
    before = dag_file(ran).read_text()
    break_task(ran, "get_data", "exit 1")
    for target in "backfill", "report":  # without results, that runs the backfill
        outcome = ran.make(target, f"DATE={DAY}")
        assert outcome.returncode == 2
        assert progress(outcome.stdout)[-1]["failed"] == 3
        assert "train MSE" not in outcome.stdout and "Report:" not in outcome.stdout
    dag_file(ran).write_text(before + "\nthis_name_is_not_defined\n")
    outcome = ran.make("backfill", f"DATE={DAY}")
    assert outcome.returncode == 2 and progress(outcome.stdout) == []
    assert "this_name_is_not_defined" in outcome.stderr
    dag_file(ran).write_text(before)


def test_a_day_without_a_run_is_an_error_and_no_older_results_pass_for_its(ran):
    write_older_results(ran)
    edit(ran, f"={schedule_of(ran)},", '="@weekly",')
    outcome = ran.make("all", f"DATE={DAY}")
    assert outcome.returncode == 2
    assert "Show the results" not in outcome.stdout
    assert "train MSE" not in outcome.stdout.rpartition("a backfill of dag_test")[2]
    if ran.generation != "3":
        assert "supervise: no task was run." in outcome.stderr
