"""The last line and the exit code of many small DAGs, on Airflow 3 as on Airflow 2.11.

The reference is the backfill of Airflow 2.11. shapes/expected.py has what it says of each DAG in
shapes/shapes.py, and where Airflow 3 says something else on purpose, that, and why. These tests
hold for both: pytest --edition 2 runs them on Airflow 2.11.
"""

import shlex
import shutil

import pytest
from airflow_sandbox.process_tree import ProcessTree
from shapes.expected import EXPECTED
from support.checkouts import PROJECT, setting
from support.lines import LINE
from support.pages import READY, Served

SHAPES = PROJECT / "tests/shapes"
NAMES = sorted(EXPECTED)

pytestmark = [pytest.mark.xdist_group(__name__), pytest.mark.slow]  # they share a checkout


@pytest.fixture(scope="module")
def checkout(new_checkout):
    """A checkout whose servers are running: what a DAG's line is does not hang on their start."""
    checkout = new_checkout()
    shutil.copy(SHAPES / "shapes.py", checkout.path / "dags")
    checkout.succeed("config")
    # No DAG run of today beside the backfill's, though its DAG is switched on.
    no_schedule = [checkout.home / "airflow.cfg", "scheduler.use_job_schedule=False"]
    assert checkout.run("bin/sandbox", "libexec/set-config", *no_schedule).returncode == 0
    checkout.succeed("list-dags")
    if checkout.generation == "3":
        served = Served(checkout, READY)
        yield checkout
        served.stop()
        return
    # Airflow 2.11's backfill waits for ever for a deferred task if nobody has started a triggerer.
    command = ["bin/sandbox", "airflow", "triggerer", "--skip-serve-logs"]
    with ProcessTree(checkout.home / "triggerer.processes") as tree:
        with (checkout.path / "triggerer.log").open("wb") as log:
            tree.start([checkout.path / command[0], *command[1:]], log, EDITION="2")
        yield checkout


def run(checkout, name, days=("2024-01-01", "2024-01-03")):
    """Run the backfill of a DAG; return its subprocess.CompletedProcess, all output in stdout."""
    command = shlex.split(setting(checkout.edition, "BACKFILL").replace("$$DAG", name))
    command = shlex.join(["bin/sandbox", *command, "-s", days[0], "-e", days[1]])
    return checkout.run("bash", "-c", f"{command} 2>&1")


@pytest.mark.parametrize("name", NAMES)
def test_its_last_line_and_exit_code(checkout, name):
    outcome = run(checkout, name, EXPECTED[name].get("days", ("2024-01-01", "2024-01-03")))
    lines = [" ".join(found.groups()) for found in LINE.finditer(outcome.stdout)]
    expected = EXPECTED[name]
    if checkout.generation == "3":
        expected = {**expected, **expected.get("airflow3", {})}
    got = {"line": lines[-1] if lines else "", "exit": outcome.returncode}
    assert got == {"line": expected["line"], "exit": expected["exit"]}, outcome.stdout
    if checkout.generation == "3":
        assert expected.get("says", "") in outcome.stdout
        assert "Traceback" not in outcome.stdout


def test_every_shape_has_an_expectation():
    text = (SHAPES / "shapes.py").read_text()
    assert text.count("with DAG(") == len(EXPECTED) > 30
