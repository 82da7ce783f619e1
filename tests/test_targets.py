"""Every target of `make help` does what it says, for real: here, or in the tests named here."""

import re
import shutil

import pytest
from support.checkouts import PROJECT, table_of
from support.walk import readme_steps

WALK = "test_readme.py::test_the_readme_and_then_the_page_of_the_ui_can_be_followed"
CLEAN = "test_makefile.py::test_clean_keeps_the_environment_and_distclean_nothing_but_what_is_yours"
EXERCISES = (
    "test_exercise_command.py::test_the_readme_of_the_exercises_can_be_followed_up_to_a_pass"
)
RUN_BY = {
    "all": "test_end_to_end.py::test_make_all_leaves_the_golden_results_and_the_picture",
    "env": WALK,
    "config": WALK,
    "initdb": WALK,
    "list-dags": WALK,
    "list-tasks": WALK,
    "backfill": WALK,
    "results": WALK,
    "report": WALK,
    "new-dag": "test_own_dag.py::test_a_new_dag_runs_as_it_is_and_what_its_tasks_printed_is_shown",
    "logs": "test_own_dag.py::test_a_new_dag_runs_as_it_is_and_what_its_tasks_printed_is_shown",
    "exercises": EXERCISES,
    "watch": "test_watch.py::test_a_save_is_run_and_its_verdict_shown",
    "exercise": EXERCISES,
    "ui": "test_ui.py::test_it_says_where_what_and_how_to_end_it",
    "stop": "test_ui.py::test_make_stop_ends_it_and_leaves_nothing",
    "worker": "test_hosts.py::test_workers_the_broker_and_postgres_are_lost_and_no_day_is",
    "verify": "test_targets.py::test_make_verify_and_make_test_run_the_tests_of_an_edition",
    "test": "test_targets.py::test_make_verify_and_make_test_run_the_tests_of_an_edition",
    "test-all": "test_targets.py::test_make_test_all_runs_those_of_every_edition",
    "lint": "test_targets.py::test_make_lint_finds_what_is_wrong",
    "screenshots": "test_long_targets.py::test_make_screenshots_renews_the_pictures",
    "bench": "test_long_targets.py::test_make_bench_measures_everything_and_leaves_no_process",
    "doctor": "test_targets.py::test_make_doctor_finds_all_that_is_required",
    "lock": "test_targets.py::test_make_lock_pins_the_newest_versions_with_hashes",
    "clean": CLEAN,
    "distclean": CLEAN,
    "help": "test_makefile.py::test_the_help_lists_every_target_and_every_variable",
}


def test_every_target_of_the_help_is_run_by_a_test(new_checkout):
    shown = new_checkout().make("help").stdout
    assert set(re.findall(r"^  make ([\w-]+)", shown, re.MULTILINE)) == set(RUN_BY)
    typed = [command.split()[:2] for command, _ in readme_steps()]
    for target, proof in RUN_BY.items():
        file, test = proof.split("::")
        assert f"\ndef {test}(" in (PROJECT / "tests" / file).read_text(), proof
        assert proof != WALK or ["make", target] in typed, target


def test_what_make_test_leaves_out_is_run_by_ci():
    (left_out,) = re.findall(r"^TESTS *:=((?:.*\\\n)*.*)", table_of("3"), re.MULTILINE)
    (run,) = re.findall(r"tests/test_\{(.+)\}\.py", (PROJECT / ".ci/run").read_text())
    names = set(re.findall(r"(\w+)\.py", left_out)) - {"browser"}  # which make screenshots runs
    assert names == set(run.split(",")) and "celery" in names


def test_make_lock_pins_the_newest_versions_with_hashes(new_checkout):
    checkout = new_checkout()
    names = "editions/3/requirements.txt", "editions/3/scale.txt", "tests/tools.txt"
    locks = [checkout.path / name for name in names]
    for lock in locks:
        lock.write_text("")  # it works with the environment that there is
    outcome = checkout.make("lock")
    if "Failed to fetch" in outcome.stderr:
        pytest.skip(f"the package registry can't be reached: {outcome.stderr}")
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    for lock, package in zip(locks, ("apache-airflow", "celery", "ruff"), strict=True):
        text = lock.read_text()
        assert re.search(rf"^{package}==\d", text, re.MULTILINE)
        pinned = re.findall(r"^\S+==.* \\\n    --hash=sha256:[0-9a-f]{64}", text, re.MULTILINE)
        assert len(pinned) == len(re.findall(r"^[\w-]", text, re.MULTILINE)) > 20


def test_make_doctor_finds_all_that_is_required(new_checkout):
    printed = new_checkout().succeed("doctor")
    assert printed.endswith("\nEverything required is here.\n")


@pytest.fixture
def small(new_checkout):
    """A checkout of two editions, 3 and a copy of it, each of which has one small test."""
    checkout = new_checkout()
    editions = checkout.path / "editions"
    for edition in "2", "1.10", "next":
        shutil.rmtree(editions / edition)
    table = editions / "3/edition.mk"
    small = "= tests/test_small.py\n"
    table.write_text(
        re.sub(r"(?m)^(VERIFY|TESTS) *:=(.*\\\n)*.*\n", rf"\1 :{small}", table.read_text())
    )
    shutil.copytree(editions / "3", editions / "copy")
    copy = checkout.state.with_name("copy")
    copy.mkdir()
    copy.joinpath("env").symlink_to(checkout.state / "env")
    checkout.succeed("begin", "EDITION=copy")
    copy.joinpath("env.done").write_text(f"\n{checkout.path}\n")
    (checkout.path / "tests/test_small.py").write_text("def test_small():\n    pass\n")
    return checkout


@pytest.mark.parametrize("target", ["verify", "test"])
def test_make_verify_and_make_test_run_the_tests_of_an_edition(small, target):
    printed = small.succeed(target, *["JUNIT=a report.xml"] * (target == "verify"))
    assert "1 passed" in printed
    if target == "verify":
        assert re.search(r"\n   verified: Airflow 3\S+ ran dag_test in a new checkout", printed)
        assert 'tests="1"' in (small.path / "a report.xml").read_text()
    (small.path / "tests/test_small.py").write_text("def test_small():\n    assert False\n")
    outcome = small.make(target)
    assert outcome.returncode == 2
    assert "1 failed" in outcome.stdout
    if target == "verify":  # whose users did not write the tests
        assert "fails: make all. " in outcome.stderr
        assert outcome.stderr.splitlines()[-2].startswith("verify: some tests failed")


def test_make_test_all_runs_those_of_every_edition(small):
    printed = small.succeed("test-all")
    assert re.findall(r"== Test edition (\w+)", printed) == ["3", "copy"]
    assert printed.count("1 passed") == 2


def test_make_lint_finds_what_is_wrong(small):
    (small.path / "pipeline/wrong.py").write_text("import os\n")
    outcome = small.make("lint")
    assert outcome.returncode == 2
    assert "F401" in outcome.stdout
