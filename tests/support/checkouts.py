"""Checkouts of their own for the tests, in a place that is as awkward as a user's."""

import contextlib
import fcntl
import os
import pty
import re
import shutil
import struct
import subprocess
import termios
from pathlib import Path

import psutil

PROJECT = Path(__file__).resolve().parents[2]

AWKWARD = "air flow & 100% ö"  # blanks, shell and config metacharacters, a letter beyond ASCII

NOT_COPIED = shutil.ignore_patterns(
    ".git", ".sandbox", "results", "my-exercises", "__pycache__", ".*_cache"
)

checkouts = []  # all that the tests in this process have made


class Checkout:
    """A copy of this checkout, of its files as they are now, that uses the same environment.

    So what the tests do to a database, a DAG or a result never happens to the user's own.
    installation: celery or postgres, for Airflow with that executor or that database.
    """

    def __init__(self, folder, edition, installation=""):
        bad = setting(edition, "BAD_IN_PATH")
        folder = folder.with_name(folder.name.replace(bad, "")) if bad else folder
        self.path = folder
        self.edition = edition
        self.generation = setting(edition, "GENERATION") or edition
        self.base = self.state = folder / ".sandbox" / edition
        self.variables = {"EDITION": edition}
        if installation:
            self.state = self.base.with_name(f"{edition}-{installation}")
            variable = "EXECUTOR" if installation == "celery" else "DB"
            # For bin/sandbox, and for make, which takes it from its command line alone.
            self.variables["AIRFLOW_SANDBOX"] = f"{edition}-{installation}"
            self.variables["MAKEFLAGS"] = f" -- {variable}={installation}"
        self.home = self.state / "airflow"
        self.started = []  # what start() has returned
        self.inside = []  # what goes before each command, such as Mounts.enter
        checkouts.append(self)
        shutil.copytree(PROJECT, folder, ignore=NOT_COPIED)
        self.base.mkdir(parents=True)
        for name in ("env", "tools"):
            (self.base / name).symlink_to(PROJECT / ".sandbox" / edition / name)
        self.done("env", "tools")
        if installation:
            self.done("extras")

    def done(self, *steps):
        """Mark steps as done with the inputs as they are now, as make does after their success."""
        self.succeed("begin")
        (self.path / ".sandbox/last-make").unlink()
        for step in steps:
            state = self.base if step in ("env", "tools") else self.state
            (state / f"{step}.done").write_text(f"\n{self.path}\n" if step == "env" else "")

    def run(self, *command, **options):
        """Run a command in the checkout; return its subprocess.CompletedProcess, output as text."""
        options = {"capture_output": True, "text": True, "timeout": 600, **options}
        options["env"] = {**options.get("env", os.environ), **self.variables}
        command = [str(word) for word in (*self.inside, *command)]
        return subprocess.run(command, cwd=self.path, **options)

    def start(self, *command, **options):
        """Start a command in the checkout, in a session of its own; return its subprocess.Popen.

        What it prints, and its errors, are .stdout, as text.
        """
        pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        options = {**pipe, "start_new_session": True, **options}
        options["env"] = {**options.get("env", os.environ), **self.variables}
        command = [str(word) for word in (*self.inside, *command)]
        self.started.append(subprocess.Popen(command, cwd=self.path, **options))
        return self.started[-1]

    def make(self, *arguments, **options):
        """Run make with arguments; return its subprocess.CompletedProcess."""
        return self.run("make", *arguments, **options)

    def succeed(self, *arguments, **options):
        """Run make with arguments, which has to succeed; return all that it printed."""
        outcome = self.make(*arguments, **options)
        assert outcome.returncode == 0, outcome.stdout + outcome.stderr
        return outcome.stdout + outcome.stderr

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


def table_of(edition):
    """Return the text of an edition's table, with that of the one which it includes."""
    text = (PROJECT / "editions" / edition / "edition.mk").read_text()
    return re.sub("^include (.+)", lambda found: (PROJECT / found[1]).read_text(), text, flags=re.M)


def setting(edition, name):
    """Return the value of a variable in an edition's table, or an empty text."""
    return ["", *re.findall(rf"^{name} *:= *(.*)$", table_of(edition), re.MULTILINE)][-1]


def read_until(process, sign):
    """Return what a command of Checkout.start() prints, up to the line that the pattern finds."""
    output = ""
    for line in process.stdout:
        output += line
        if re.search(sign, line):
            return output
    raise AssertionError(f"it ended without {sign!r}:\n{output}")


def dag_file(checkout):
    """Return the path of the file that defines dag_test in a checkout."""
    folder = "editions/1.10/dags" if checkout.generation == "1.10" else "dags"
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
    # A CI job's CI=true is for what has no reader.
    environment = {**os.environ, "TERM": "xterm", "CI": "", **variables}
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


def checkout_with(new_checkout, task_id, command):
    """Return a new checkout, ready to run, with another command for one of the tasks."""
    checkout = new_checkout()
    break_task(checkout, task_id, command)
    checkout.succeed("list-dags")
    return checkout
