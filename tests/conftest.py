"""What the tests share: a checkout of their own, in a place that is as awkward as a user's."""

import contextlib
import fcntl
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import psutil
import pytest
from watch import Watch

# Under nohup, as in many a CI, SIGHUP is ignored by everything that is started; here it is a fault
# like any other.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT / "bin"))
from process_tree import members  # noqa: E402

AWKWARD = "air flow & 100% ö"  # blanks, shell and config metacharacters, a letter beyond ASCII
NOT_COPIED = shutil.ignore_patterns(".git", ".sandbox", "results", "__pycache__", ".*_cache")


FAILED = pytest.StashKey()
# With NO_SKIPS=1, as in .ci/run, a test that is skipped has failed, unless its reason begins with
# one of these: {reason: why it may be skipped}.
NO_SKIPS = os.environ.get("NO_SKIPS")
MAY_BE_SKIPPED = {}


def pytest_addoption(parser):
    parser.addoption("--edition", default="3", help="the edition of Airflow to verify")
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
    # What takes longest begins first, so that nobody waits for it at the end.
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_ignore_collect(collection_path, config):
    """Leave out what is about the older editions alone."""
    older = {"test_old_ui.py", "test_old_backfill.py"}
    if collection_path.name in older and config.getoption("--edition") == "3":
        return True


checkouts = []  # all that the tests in this process have made


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
        self.inside = []  # what goes before each command, such as Mounts.enter
        checkouts.append(self)
        shutil.copytree(PROJECT, folder, ignore=NOT_COPIED)
        self.state.mkdir(parents=True)
        for name in ("env", "tools"):
            (self.state / name).symlink_to(PROJECT / ".sandbox" / edition / name)
        self.done("env", "tools")

    def done(self, *steps):
        """Mark steps as done with the inputs as they are now, as make does after their success."""
        outcome = self.make("begin")
        assert outcome.returncode == 0, outcome.stderr
        (self.path / ".sandbox/last-make").unlink()
        for step in steps:
            text = (self.state / f"{step}.now").read_text()
            text += f"{self.path}\n" if step == "env" else ""
            (self.state / f"{step}.done").write_text(text)

    def run(self, *command, **options):
        """Run a command in the checkout; return its subprocess.CompletedProcess, output as text."""
        options = {"capture_output": True, "text": True, "timeout": 600, **options}
        options["env"] = {**options.get("env", os.environ), "EDITION": self.edition}
        command = [str(word) for word in (*self.inside, *command)]
        return subprocess.run(command, cwd=self.path, **options)

    def make(self, *arguments, **options):
        """Run make with arguments; return its subprocess.CompletedProcess."""
        return self.run("make", *arguments, **options)

    def processes(self):
        """Return the living processes that work for this checkout, for an assertion to show."""
        found = []
        for process in psutil.process_iter():
            try:
                command = process.cmdline()
                at_home = process.environ().get("AIRFLOW_HOME") == str(self.home)
                if at_home or str(self.path) in " ".join(command):
                    found.append((process.pid, command))
            except psutil.Error:
                continue
        return found


def dag_file(checkout):
    """Return the path of the file that defines dag_test in a checkout."""
    folder = "editions/1.10/dags" if checkout.edition == "1.10" else "dags"
    return checkout.path / folder / "dag_example.py"


def break_task(checkout, task_id, command):
    """Let a task of the checkout's DAG run another command."""
    file = dag_file(checkout)
    start = re.compile(rf'(task_id="{task_id}",\n(?: *#.*\n)? *bash_command=)')
    text, replaced = start.subn(lambda found: f"{found[1]}{command!r} or ", file.read_text())
    assert replaced == 1
    file.write_text(text)


def on_terminal(command, cwd, columns=80, **variables):
    """Run a command on a terminal of so many columns; return (exit code, all that was sent to it).

    variables: environment variables, on top of this process's.
    """
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm", **variables}
    process = subprocess.Popen(
        command, cwd=cwd, env=environment, stdin=its, stdout=its, stderr=its, start_new_session=True
    )
    os.close(its)
    sent = b""
    with contextlib.suppress(OSError):  # Linux's way to say that nobody has it open any more
        while some := os.read(ours, 65536):
            sent += some
    os.close(ours)
    return process.wait(), sent.decode()


class Mounts:
    """A mount namespace: what is mounted in it, only commands that run in it can see.

    folder: where those commands run. setup: a shell script that mounts; $1 is the folder. Put
    .enter before a command to run it in here. Skips where a machine allows none of this.
    """

    def __init__(self, folder, setup):
        command = ["unshare", "--mount", "--map-root-user", "sh", "-euc"]
        try:
            self.process = subprocess.Popen(
                [*command, f"{setup}\necho mounted; exec cat", "sh", str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        except FileNotFoundError:
            pytest.skip("this machine has no mount namespaces (unshare)")
        if self.process.stdout.readline() != "mounted\n":
            _, error = self.process.communicate()
            pytest.skip(f"this machine lets nobody mount in a namespace of their own: {error}")
        self.enter = [
            *["nsenter", f"--target={self.process.pid}", "--user", "--mount"],
            "--preserve-credentials",
            # The folder anew: the one that nsenter itself is in may lie below a mount.
            *["sh", "-c", 'cd "$0" && exec "$@"', str(folder)],
        ]
        self.inner = Path(f"/proc/{self.process.pid}/root{folder}")  # as seen from out here

    def close(self):
        self.process.communicate()


class SmallDisk(Mounts):
    """A copy of a folder on a disk of its own, which can be filled up."""

    SETUP = """
        mkdir "$1.disk"
        mount -t tmpfs none "$1.disk"
        cp -a "$1/." "$1.disk"
        mount --bind "$1.disk" "$1"
    """

    def __init__(self, folder, room=32 * 1024**2):
        super().__init__(folder, self.SETUP)
        self.room = room
        self.fill(room)

    def used(self):
        """Return how many bytes are used."""
        disk = os.statvfs(self.inner)
        return (disk.f_blocks - disk.f_bfree) * disk.f_frsize

    def fill(self, left):
        """Leave room for so many bytes more."""
        resize = ["mount", "-o", f"remount,size={self.used() + left}", "."]
        subprocess.run([*self.enter, *resize], check=True)

    def free(self):
        """Let there be room again."""
        self.fill(self.room)


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
            for pid in found.union(pid for each in checkouts for pid, _ in each.processes()):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process = psutil.Process(pid)
                    if process.create_time() > began:
                        process.kill()


@pytest.fixture(scope="session")
def new_checkout(tmp_path_factory, pytestconfig):
    """A function that makes a fresh Checkout: no configuration, no database, no results."""
    edition = pytestconfig.getoption("--edition")
    return lambda: Checkout(tmp_path_factory.mktemp("checkout").resolve() / AWKWARD, edition)


@pytest.fixture(scope="session")
def finished(new_checkout):
    """A Checkout in which `make all` has run; its outcome is in .all, what it did in .watch."""
    checkout = new_checkout()
    with Watch() as checkout.watch:
        # The most careless umask that a user can have.
        checkout.all = checkout.run("bash", "-c", "umask 000; make all 2>&1")
    return checkout
