"""What the tests share: a checkout of their own, in a place that is as awkward as a user's."""

import contextlib
import os
import signal
import time

import psutil
import pytest
from airflow_sandbox.process_tree import members
from support.checkouts import AWKWARD, PROJECT, Checkout, checkouts
from support.watch import Watch

# Under nohup, as in many a CI, SIGHUP is ignored by everything that is started; here it is a fault
# like any other.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

pytest_plugins = ["support.wheels"]  # a fixture

FAILED = pytest.StashKey()
# With NO_SKIPS=1, as in .ci/run, a test that is skipped has failed, unless its reason begins with
# one of these: {reason: why it may be skipped}.
NO_SKIPS = os.environ.get("NO_SKIPS")
MAY_BE_SKIPPED = {}


def pytest_addoption(parser):
    parser.addoption("--edition", default="3", help="the edition of Airflow to verify")
    parser.addoption("--installation", default="", help="celery, or postgres")
    parser.addoption("--screenshots", help="the folder to save the pictures of the web pages in")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Remember whether a test failed; with NO_SKIPS, let one that is skipped fail."""
    report = yield
    item.stash.setdefault(FAILED, False)
    if report.skipped and NO_SKIPS:
        _, _, reason = report.longrepr
        if not reason.removeprefix("Skipped: ").startswith(tuple(MAY_BE_SKIPPED)):
            report.outcome, report.longrepr = "failed", f"{item.nodeid}: {reason}"
    item.stash[FAILED] |= report.failed
    return report


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the marks in this hook, too
def pytest_collection_modifyitems(items):
    """Keep tests that share a checkout in one process (pytest -n): those of a fixture below.

    Where all tests of a module share one, the module says so itself, by a mark of the same kind.
    """
    for item in items:
        for shared in {"finished", "slow"} & set(item.fixturenames):
            if not item.get_closest_marker("xdist_group"):
                item.add_marker(pytest.mark.xdist_group(shared))
                item.add_marker("slow")
    # The longest tests start first, so that none of them runs alone at the end.
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_ignore_collect(collection_path, config):
    """Leave out what is about other editions alone."""
    others = {"test_old_ui.py", "test_old_backfill.py", "test_next.py"}
    if collection_path.name in others and config.getoption("--edition") == "3":
        return True


@pytest.fixture(scope="session", autouse=True)
def environment(pytestconfig):
    """See to it that the edition has its environment, which make verify and make test make."""
    edition = pytestconfig.getoption("--edition")
    if not (PROJECT / ".sandbox" / edition / "env.done").exists():
        pytest.exit(f"edition {edition} has no environment; make env EDITION={edition}", 1)


@pytest.fixture(autouse=True)
def end_what_a_failed_test_left(request):
    """Let a test that failed, or was ended because it hung, cost that test alone."""
    # What the fixtures of its module have started is older. (Linux knows to the second when it was
    # booted, and no better when a process was created.)
    began = time.time() - 1
    yield
    if request.node.stash.get(FAILED, False):
        for _ in range(2):  # what is killed may have started something just before
            # A process of Airflow's that has renamed itself is known by its session alone.
            records = [record for each in checkouts for record in each.home.glob("*.processes")]
            found = {process.pid for record in records for process in members(record)}
            for each in checkouts:
                found.update(pid for pid, _ in each.processes())
                # A make has nothing of the checkout in its command; the next one would be refused.
                found.update(process.pid for process in each.started if process.poll() is None)
            for pid in found:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process = psutil.Process(pid)
                    if process.create_time() > began:
                        process.kill()


@pytest.fixture(scope="session")
def new_checkout(tmp_path_factory, pytestconfig):
    """A function that makes a fresh Checkout: no configuration, no database, no results.

    Its argument names an installation; by default it is that of --installation.
    """
    edition, installation = map(pytestconfig.getoption, ("--edition", "--installation"))

    def make(installation=installation):
        folder = tmp_path_factory.mktemp("checkout").resolve() / AWKWARD
        return Checkout(folder, edition, installation)

    return make


@pytest.fixture(scope="session")
def finished(new_checkout):
    """A Checkout in which `make all` has run; its outcome is in .all, what it did in .watch."""
    checkout = new_checkout()
    with Watch() as checkout.watch:
        # The most careless umask that a user can have.
        checkout.all = checkout.run("bash", "-c", "umask 000; make all 2>&1")
    return checkout
