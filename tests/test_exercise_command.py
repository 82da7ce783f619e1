"""make exercise and make exercises: what they refuse, what they keep, and that they end."""

import os
import re
import signal

import pytest
from airflow_sandbox.exercises import Exercise
from support.checkouts import PROJECT, read_until
from support.exercises import FOLDERS, NUMBERS, copy_of, exercise, predict
from support.guarantees import guarantee
from support.walk import pattern, steps_of

pytestmark = [pytest.mark.xdist_group(__name__), pytest.mark.slow]  # they share a checkout


@pytest.fixture(scope="module")
def checkout(new_checkout):
    checkout = new_checkout()
    checkout.succeed("config")
    return checkout


@pytest.fixture
def fresh(checkout):
    """The checkout without anything of the learner's."""
    for path in sorted((checkout.path / "my-exercises").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    return checkout


def test_as_shipped_none_runs_before_it_is_predicted(fresh):
    for number in NUMBERS:
        page, _, hint = (FOLDERS[number - 1] / "README.md").read_text().partition("## Hint\n")
        outcome = exercise(fresh, number)
        assert outcome.returncode == 0 and page.strip() in outcome.stdout
        assert hint.strip() not in outcome.stdout
        assert (
            copy_of(fresh, number).read_text() == FOLDERS[number - 1].joinpath("dag.py").read_text()
        )
        outcome = exercise(fresh, number)
        assert outcome.returncode == 0
        assert f"   predict first: in my-exercises/{FOLDERS[number - 1].name}" in outcome.stdout
        assert hint.strip() not in outcome.stdout and "Passed." not in outcome.stdout
        assert "backfill" not in outcome.stdout.partition("write a number for")[2]


def test_the_readme_of_the_exercises_can_be_followed_up_to_a_pass(fresh):
    stored = fresh.home / "dags.stored"
    before = stored.exists(), (fresh.home / "airflow.db").exists()
    runs = 0
    for command, expected in steps_of((PROJECT / "exercises/README.md").read_text()):
        runs += command == "make exercise N=1"
        if runs == 2 and command == "make exercise N=1":
            predict(fresh, 1, succeeded="6")
        outcome = fresh.run("bash", "-c", f"{command} 2>&1")
        assert re.search(pattern(expected), outcome.stdout), outcome.stdout
        assert outcome.returncode == 0, outcome.stdout
    assert runs == 2 and "succeeded: 6" in copy_of(fresh, 1).with_name("dag.py.kept-1").read_text()
    assert copy_of(fresh, 1).read_text() == (FOLDERS[0] / "dag.py").read_text()
    predict(fresh, 1)
    outcome = exercise(fresh, 1)
    assert outcome.returncode == 0 and "   next: make exercise N=2\n" in outcome.stdout
    assert re.search(r"^    1  .* passed\n", fresh.make("exercises").stdout, re.MULTILINE)
    # Of the tutorial's own database and DAGs there was no need.
    assert before == (stored.exists(), (fresh.home / "airflow.db").exists()) == (False, False)
    assert fresh.processes() == []


def test_a_reset_keeps_what_was_there(fresh):
    exercise(fresh, 1)
    file = copy_of(fresh, 1)
    for number, text in enumerate(["mine", "mine, too"], 1):
        file.write_text(text)
        outcome = exercise(fresh, 1, "RESET=1")
        assert outcome.returncode == 0
        assert f"yours is now my-exercises/01-days/dag.py.kept-{number}\n" in outcome.stdout
        assert file.with_name(f"dag.py.kept-{number}").read_text() == text
        assert file.read_text() == FOLDERS[0].joinpath("dag.py").read_text()
    assert fresh.make("clean").returncode == 0
    assert len(list(file.parent.iterdir())) == 3
    fresh.succeed("config")


def test_the_copy_of_a_solution_is_not_overwritten_either(tmp_path):
    exercise = Exercise(FOLDERS[0])
    assert exercise.place("solution.py", tmp_path) is None
    assert exercise.place("solution.py", tmp_path) is None
    (tmp_path / "dag.py").write_text("mine")
    assert exercise.place("solution.py", tmp_path).read_text() == "mine"
    assert (tmp_path / "dag.py").read_text() == (FOLDERS[0] / "solution.py").read_text()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("with DAG(", "with with DAG(", "my-exercises/03-failed/dag.py:16: SyntaxError: invalid"),
        (
            "with DAG(",
            "with DAG(oops, ",
            "my-exercises/03-failed/dag.py:16: NameError: name 'oops'",
        ),
        ('DAG("failed"', 'DAG("mine"', "my-exercises/03-failed/dag.py has no DAG failed"),
        ("Run: ", "", "my-exercises/03-failed/dag.py does not say what to run; RESET=1"),
        (
            "-e 2024-01-03",
            '-e "2024-01-03',
            "my-exercises/03-failed/dag.py: its Run: line: No closing quotation",
        ),
        ("-e 2024-01-03", "-e tomorrow", "the backfill did not start; the reason is above"),
        ("Run: ", "Run: no-such-command\nRun: ", "airflow no-such-command failed"),
    ],
)
def test_what_can_not_be_run_is_refused_in_one_line(fresh, old, new, message):
    exercise(fresh, 3)
    predict(fresh, 3)
    file = copy_of(fresh, 3)
    file.write_text(file.read_text().replace(old, new))
    outcome = exercise(fresh, 3)
    assert outcome.returncode == 2
    assert f"\nexercise: {message}" in outcome.stdout
    assert "next: edit my-exercises/03-failed/dag.py, then: make exercise N=3\n" in outcome.stdout
    assert "Traceback" not in outcome.stdout and "Your prediction" not in outcome.stdout


@guarantee(
    "Input",
    "N, RESET, SOLUTION: unknown or malformed",
    "one line, exit code 2, nothing touched",
)
@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["exercise"], "N='' is not the number of an exercise; make exercises lists them"),
        (["exercise", "N=x"], "N=x is not the number of an exercise"),
        (["exercise", "N=*"], "is not the number of an exercise"),
        (["exercise", "N=1; touch hacked"], "is not the number of an exercise"),
        (["exercise", "N=99"], "there is no exercise 99; make exercises lists them"),
        (["exercise", "N=1", "RESET=yes"], "RESET=1, SOLUTION=1 or neither"),
        (["exercise", "N=1", "RESET=1", "SOLUTION=1"], "RESET=1, SOLUTION=1 or neither"),
        (["exercise", "N=1", "EXECUTOR=celery"], "without EXECUTOR= and DB="),
    ],
)
def test_a_wrong_number_is_refused_before_anything_is_touched(new_checkout, arguments, reason):
    checkout = new_checkout()
    before = sorted(checkout.path.rglob("*"))
    outcome = checkout.make(*arguments)
    assert outcome.returncode == 2
    assert reason in outcome.stderr.splitlines()[0]
    assert sorted(checkout.path.rglob("*")) == before


@pytest.mark.parametrize(
    ("edition", "arguments"),
    [
        ("2", ["exercise", "N=10"]),
        ("1.10", ["exercise", "N=1"]),
        ("1.10", ["exercises"]),
    ],
)
def test_an_edition_that_an_exercise_does_not_run_on_is_refused(checkout, edition, arguments):
    today = "2024-01-01"
    variables = [f"EDITION={edition}", *(f"{name}={today}" for name in ("DATE", "START", "END"))]
    target, *number = arguments
    command = ["env", *variables, *number, "libexec/check-input", target]
    outcome = checkout.run(*command)
    wanted = " ".join(["make", *arguments])
    assert (outcome.returncode, outcome.stdout) == (2, "")
    assert outcome.stderr == (
        f"check-input: {wanted} needs another Airflow than that of EDITION={edition};"
        f" type: {wanted} EDITION=3\n"
    )
    assert checkout.run(*command[:1], "EDITION=3", *command[2:]).returncode == 0


def test_ctrl_c_ends_it_and_leaves_nothing_running(fresh):
    exercise(fresh, 9)
    predict(fresh, 9)
    process = fresh.start("make", "exercise", "N=9")
    printed = read_until(process, "running: 1")
    os.killpg(process.pid, signal.SIGINT)
    printed += process.stdout.read()
    assert process.wait() != 0, printed
    assert "interrupted by SIGINT" in printed and "Traceback" not in printed
    assert "; to run it again: make exercise N=9\n" in printed
    assert "Your prediction" not in printed
    assert fresh.processes() == []
