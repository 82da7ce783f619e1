"""make exercise and make exercises: what they refuse, what they keep, and that they end."""

import os
import re
import signal

import pytest
from airflow_sandbox.exercises import Exercise
from support.checkouts import PROJECT, read_until
from support.exercises import FOLDERS, copy_of, exercise, predict
from support.guarantees import guarantee
from support.walk import pattern, steps_of

pytestmark = [pytest.mark.xdist_group(__name__), pytest.mark.slow]  # they share a checkout


@pytest.fixture(scope="module")
def checkout(new_checkout):
    return new_checkout()


@pytest.fixture
def fresh(checkout):
    """The checkout without anything of the learner's."""
    for path in sorted((checkout.path / "my-exercises").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    return checkout


def test_as_shipped_it_does_not_run_before_it_is_predicted(fresh):
    page, _, hint = (FOLDERS[1] / "README.md").read_text().partition("## Hint\n")
    outcome = exercise(fresh, 2)
    assert outcome.returncode == 0 and page.strip() in outcome.stdout
    assert copy_of(fresh, 2).read_text() == (FOLDERS[1] / "dag.py").read_text()
    again = exercise(fresh, 2)
    assert again.returncode == 0
    assert f"   predict first: in my-exercises/{FOLDERS[1].name}" in again.stdout
    assert hint.strip() not in outcome.stdout + again.stdout and "Passed." not in again.stdout
    assert "backfill" not in again.stdout.partition("write a number for")[2]


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
    # Without a number, it goes on with the next one.
    assert "# 2. Logical date" in fresh.make("exercise").stdout
    # Of the tutorial's own database and DAGs there was no need.
    assert before == (stored.exists(), (fresh.home / "airflow.db").exists()) == (False, False)
    assert fresh.processes() == []


def test_a_reset_keeps_what_was_there(fresh):
    exercise(fresh, 1)
    file, original = copy_of(fresh, 1), (FOLDERS[0] / "dag.py").read_bytes()
    for number, text in enumerate(["mine", "mine, too"], 1):
        file.write_text(text)
        outcome = exercise(fresh, 1, "RESET=1")
        assert outcome.returncode == 0
        assert f"yours is now my-exercises/01-days/dag.py.kept-{number}\n" in outcome.stdout
        assert file.with_name(f"dag.py.kept-{number}").read_text() == text
        assert file.read_bytes() == original
    assert fresh.make("clean").returncode == 0
    assert len(list(file.parent.iterdir())) == 3
    # Nor is the copy of a solution overwritten.
    assert Exercise(FOLDERS[0]).place("solution.py", file.parent).read_bytes() == original
    assert Exercise(FOLDERS[0]).place("solution.py", file.parent) is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("with DAG(", "with with DAG(", "my-exercises/03-failed/dag.py:16: SyntaxError: invalid"),
        ('DAG("failed"', 'DAG("mine"', "my-exercises/03-failed/dag.py has no DAG failed"),
        ("Run: ", "", "my-exercises/03-failed/dag.py does not say what to run; RESET=1"),
        ("-e 2024", '-e "2024', "03-failed/dag.py: its Run: line: No closing quotation"),
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
    assert re.search(rf"^exercise: .*{re.escape(message)}", outcome.stdout, re.MULTILINE)
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
        (["exercise", "N=x"], "N=x is not the number of an exercise"),
        (["exercise", "N=*"], "is not the number of an exercise"),
        (["exercise", "N=1; touch hacked"], "is not the number of an exercise"),
        (["exercise", "N=99"], "there is no exercise 99; make exercises lists them"),
        (["exercise", "N=1", "RESET=yes"], "set RESET=1 or SOLUTION=1"),
        (["exercise", "N=1", "RESET=1", "SOLUTION=1"], "set RESET=1 or SOLUTION=1"),
        (["exercise", "N=1", "EXECUTOR=celery"], "leave out EXECUTOR= and DB="),
    ],
)
def test_a_wrong_number_is_refused_before_anything_is_touched(new_checkout, arguments, reason):
    checkout = new_checkout()
    before = sorted(checkout.path.rglob("*"))
    outcome = checkout.make(*arguments)
    assert outcome.returncode == 2
    assert reason in outcome.stderr.splitlines()[0]
    assert sorted(checkout.path.rglob("*")) == before


def test_ctrl_c_ends_it_and_leaves_nothing_running(fresh):
    exercise(fresh, 9)
    predict(fresh, 9)
    process = fresh.start("make", "exercise", "N=9")
    printed = read_until(process, "DAG runs; Ctrl-C")
    os.killpg(process.pid, signal.SIGINT)
    printed += process.stdout.read()
    assert process.wait() != 0, printed
    assert "interrupted by SIGINT" in printed and "Traceback" not in printed
    assert "; to run it again: make exercise N=9\n" in printed
    assert "Your prediction" not in printed
    assert fresh.processes() == []
