"""The tests' own promises: what hangs costs one test, and a skip can be refused."""

import os
import sys

import psutil
import pytest

TESTS = """
import subprocess
import pytest

def test_that_hangs(new_checkout):
    checkout = new_checkout()
    subprocess.Popen(["sleep", "601"], env={"AIRFLOW_HOME": str(checkout.home)})
    checkout.start("sleep", "602")
    checkout.run("sleep", "603")

def test_after_it():
    pass

def test_that_is_skipped():
    pytest.skip("for no good reason")
"""


@pytest.fixture
def checkout(new_checkout):
    checkout = new_checkout()
    (checkout.path / "tests/test_small.py").write_text(TESTS)
    return checkout


def run(checkout, **variables):
    """Return what pytest prints of these three tests."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:xdist",
        "--timeout=3",
        "--basetemp=../made",
    ]
    environment = {**os.environ, "NO_SKIPS": "", **variables}
    return checkout.run(*command, "tests/test_small.py", env=environment).stdout


def test_a_test_that_hangs_is_ended_and_costs_no_other(checkout):
    printed = run(checkout)
    assert "1 failed, 1 passed, 1 skipped" in printed
    assert "Timeout" in printed
    made = str(checkout.path.with_name("made"))
    for process in psutil.process_iter(["environ", "cwd"]):
        home = (process.info["environ"] or {}).get("AIRFLOW_HOME", "")
        assert not home.startswith(made)
        assert not (process.info["cwd"] or "").startswith(made)


def test_with_no_skips_a_skipped_test_has_failed(checkout):
    printed = run(checkout, NO_SKIPS="1")
    assert "2 failed, 1 passed" in printed
    assert "for no good reason" in printed
