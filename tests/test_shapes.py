"""The last line and the exit code of many small DAGs, on Airflow 3 as on Airflow 2.11.

The reference is the backfill of Airflow 2.11. shapes/expected.py has what it says of each DAG in
shapes/shapes.py, and where Airflow 3 says something else on purpose, that, and why. These tests
hold for both: pytest --edition 2 runs them on Airflow 2.11.
"""

import re
import shlex
import shutil

import pytest
from airflow_sandbox.process_tree import ProcessTree
from shapes.expected import EXPECTED
from support.checkouts import PROJECT
from support.groups import in_two_groups
from support.lines import LINE

SHAPES = PROJECT / "tests/shapes"
NAMES = sorted(EXPECTED)


@pytest.fixture(scope="module")
def checkout(new_checkout):
    checkout = new_checkout()
    shutil.copy(SHAPES / "shapes.py", checkout.path / "dags")
    checkout.succeed("list-dags")
    # Airflow 2.11's backfill waits for ever for a deferred task if nobody has started a triggerer.
    command = ["bin/sandbox", "airflow", "triggerer", "--skip-serve-logs"]
    with ProcessTree(checkout.home / "triggerer.processes") as tree:
        if checkout.edition == "2":
            with (checkout.path / "triggerer.log").open("wb") as log:
                tree.start([checkout.path / command[0], *command[1:]], log, EDITION="2")
        yield checkout


def run(checkout, name, days=("2024-01-01", "2024-01-03")):
    """Run the backfill of a DAG; return its subprocess.CompletedProcess, all output in stdout."""
    table = (PROJECT / "editions" / checkout.edition / "edition.mk").read_text()
    command = re.search(r"^BACKFILL +:= (.*)$", table, re.MULTILINE)[1].replace("$$DAG", name)
    command = shlex.split(command)
    command = shlex.join(["bin/sandbox", *command, "-s", days[0], "-e", days[1]])
    return checkout.run("bash", "-c", f"{command} 2>&1")


@pytest.mark.slow
@pytest.mark.parametrize("name", in_two_groups("shapes", NAMES, NAMES))
def test_its_last_line_and_exit_code(checkout, name):
    outcome = run(checkout, name, EXPECTED[name].get("days", ("2024-01-01", "2024-01-03")))
    lines = [" ".join(found.groups()) for found in LINE.finditer(outcome.stdout)]
    expected = EXPECTED[name]
    if checkout.edition == "3":
        expected = {**expected, **expected.get("airflow3", {})}
    got = {"line": lines[-1] if lines else "", "exit": outcome.returncode}
    assert got == {"line": expected["line"], "exit": expected["exit"]}, outcome.stdout
    if checkout.edition == "3":
        assert expected.get("says", "") in outcome.stdout
        assert "Traceback" not in outcome.stdout


def test_every_shape_has_an_expectation():
    text = (SHAPES / "shapes.py").read_text()
    assert text.count("with DAG(") == len(EXPECTED) > 30
