"""What the tests share: a checkout of their own, in a place that is as awkward as a user's."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import psutil
import pytest
from watch import Watch

PROJECT = Path(__file__).resolve().parent.parent
AWKWARD = "air flow & 100% ö"  # blanks, shell and config metacharacters, a letter beyond ASCII
NOT_COPIED = shutil.ignore_patterns(".git", ".sandbox", "results", "__pycache__", ".*_cache")


def pytest_addoption(parser):
    parser.addoption("--edition", default="3", help="the edition of Airflow to verify")


class Checkout:
    """A copy of this checkout, of its files as they are now, that uses the same environment.

    So what the tests do to a database, a DAG or a result never happens to the user's own.
    """

    def __init__(self, folder, edition):
        table = (PROJECT / "editions" / edition / "edition.mk").read_text()
        bad = re.search(r"^BAD_IN_PATH :=(.*)$", table, re.MULTILINE)[1].strip()
        folder = folder.with_name(folder.name.replace(bad, "")) if bad else folder
        self.path = folder
        self.edition = edition
        self.state = folder / ".sandbox" / edition
        self.home = self.state / "airflow"
        shutil.copytree(PROJECT, folder, ignore=NOT_COPIED)
        self.state.mkdir(parents=True)
        for name in ("env", "tools"):
            (self.state / name).symlink_to(PROJECT / ".sandbox" / edition / name)
        self.done("env", "tools")

    def done(self, *steps):
        """Mark steps as done, as make does after their success."""
        for step in steps:
            (self.state / f"{step}.done").write_text(f"{self.path}\n")

    def run(self, *command, **options):
        """Run a command in the checkout; return its subprocess.CompletedProcess, output as text."""
        options = {"capture_output": True, "text": True, "timeout": 600, **options}
        options["env"] = {**options.get("env", os.environ), "EDITION": self.edition}
        return subprocess.run([str(word) for word in command], cwd=self.path, **options)

    def make(self, *arguments, **options):
        """Run make with arguments; return its subprocess.CompletedProcess."""
        return self.run("make", *arguments, **options)

    def processes(self):
        """Return the living processes that work for this checkout, for an assertion to show."""
        found = []
        for process in psutil.process_iter():
            try:
                if f"AIRFLOW_HOME={self.home}" in "\n".join(
                    f"{name}={value}" for name, value in process.environ().items()
                ) or str(self.path) in " ".join(process.cmdline()):
                    found.append((process.pid, process.cmdline()))
            except psutil.Error:
                continue
        return found


BLOCK = re.compile(r"^```(bash|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def readme_steps():
    """Return [(command, what it is expected to print, or None)] of the README's walk-through."""
    readme = (PROJECT / "README.md").read_text()
    walk = readme[readme.index("## Step by step") : readme.index("## The commands, then and now")]
    steps = []
    for kind, text in BLOCK.findall(walk):
        if kind == "bash":
            steps += [(line, None) for line in text.splitlines()]
        else:
            steps[-1] = (steps[-1][0], text)
    return steps


@pytest.fixture(scope="session", autouse=True)
def environment(pytestconfig):
    """The environment of the edition, which make verify makes; skips where it has no Python."""
    edition = pytestconfig.getoption("--edition")
    if (PROJECT / ".sandbox" / edition / "env.done").exists():
        return
    table = (PROJECT / "editions" / edition / "edition.mk").read_text()
    limits = dict(re.findall(r"^(PYTHON_M..) *:= *(\S+)$", table, re.MULTILINE))
    command = [PROJECT / "bin/find-python"]
    found = subprocess.run(command, env=os.environ | limits, capture_output=True, text=True)
    if found.returncode == 0:
        pytest.exit(f"edition {edition} has no environment; make env EDITION={edition}", 1)
    pytest.skip(f"edition {edition}: {found.stderr}")


@pytest.fixture(scope="session")
def new_checkout(tmp_path_factory, pytestconfig):
    """A function that makes a fresh Checkout: no configuration, no database, no results."""
    edition = pytestconfig.getoption("--edition")
    return lambda: Checkout(tmp_path_factory.mktemp("checkout").resolve() / AWKWARD, edition)


@pytest.fixture(scope="session")
def finished(new_checkout):
    """A Checkout in which `make all` has run; its outcome is in .all, what it did in .watch."""
    checkout = new_checkout()
    with Watch(checkout.home) as checkout.watch:
        # The most careless umask that a user can have.
        checkout.all = checkout.run("bash", "-c", "umask 000; make all 2>&1")
    return checkout


@pytest.fixture(scope="session")
def walked(new_checkout):
    """A Checkout in which the README was followed step by step; the outcomes are in .outcomes."""
    checkout = new_checkout()
    checkout.outcomes = {
        command: checkout.run("bash", "-c", f"{command} 2>&1") for command, _ in readme_steps()
    }
    return checkout
