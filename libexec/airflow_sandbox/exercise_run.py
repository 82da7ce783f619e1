"""Airflow with nothing but the DAG of an exercise, and what comes out of it."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from airflow_sandbox.exercises import ROOT, CannotRun, numbers_in
from airflow_sandbox.interruption import Relay
from airflow_sandbox.paths import shown, write_whole

LINE = re.compile(r"\[backfill progress\] \| (.*)")
# What bin/backfill says at its end. A failure may be what is meant, and another command repeats it.
NO_NEWS = re.compile("backfill: not every task")
AGAIN = re.compile(r"make backfill START=\S+ END=\S+ DAG=\S+")


class Sandbox:
    """Airflow with nothing but the DAG of one file, and a home of its own.

    exercise: the Exercise. file: its DAG file, the learner's or the solution's.
    """

    def __init__(self, exercise, file):
        self.dag_id, self.again, self.file = exercise.dag_id, exercise.again, file
        usual = Path(os.environ["AIRFLOW_HOME"])
        self.home = usual.with_name("exercises")
        self.environment = {
            **os.environ,
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home}/airflow.db",
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(self.home / "logs"),
        }
        table = (ROOT / "editions" / os.environ["EDITION"] / "edition.mk").read_text("utf-8")
        self.verbs = dict(re.findall(r"^([A-Z_]+) *:= (.*)", table, re.MULTILINE))
        self.stopped = Relay().received  # the command that runs receives them, too, and tidies up
        self.make(usual)

    def make(self, usual):
        """Make the home, of which only an empty database is kept from one run to the next."""
        made_from = usual.with_name("config.done").read_text("utf-8")
        stamp, empty, database = (self.home / name for name in ("made.from", "empty", "airflow.db"))
        fresh = not stamp.exists() or stamp.read_text("utf-8") != made_from
        if fresh:
            print("   making a metadata database for the exercises", flush=True)
            shutil.rmtree(self.home, ignore_errors=True)
            self.home.mkdir(parents=True)
        shutil.copy(usual / "airflow.cfg", self.home)
        folder = f"core.dags_folder={self.file.parent}"
        self.require([ROOT / "libexec/set-config", self.home / "airflow.cfg", folder])
        if fresh:
            self.require(shlex.split(self.verbs["INITDB"]))
            database.rename(empty)
            write_whole(stamp, made_from)
        for file in self.home.glob("airflow.db*"):
            file.unlink()
        shutil.copy(empty, database)
        shutil.rmtree(self.home / f"logs/dag_id={self.dag_id}", ignore_errors=True)

    def call(self, command, show=False):
        """Run a command; return its exit code and its output, which is also shown as it comes."""
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )
        output = ""
        for line in process.stdout:
            output += line
            if show and not NO_NEWS.match(line):
                print(AGAIN.sub(self.again, line), end="", flush=True)
        code = process.wait()
        if self.stopped:
            sys.exit(128 + self.stopped[0])
        return code, output

    def require(self, command):
        """Run a command that has to succeed."""
        code, output = self.call(command)
        if code:
            raise CannotRun(f"{command[0]} failed: {output.strip()}")

    def read(self):
        """Let Airflow read the DAG file; raises CannotRun if there is no such DAG in it."""
        code, output = self.call(shlex.split(self.verbs["READ_DAGS"])[2:])
        if code or self.dag_id not in (self.home / "dags.stored").read_text("utf-8").split():
            why = "\n".join(re.findall(r"^(?:store|check)-dags: (.*)", output, re.MULTILINE))
            none = f"{shown(self.file)} has no DAG {self.dag_id}"
            raise CannotRun(why or (output if code else none))

    def run(self, runs):
        """Run commands of Airflow's; return exit code and progress lines of the last backfill."""
        code = output = None
        for words in runs:
            if words[0] != "backfill":
                command = ["airflow", *words]
            else:
                verb = shlex.split(self.verbs["BACKFILL"].replace('"$$DAG"', self.dag_id))
                command = [*verb, *words[1:]]
            print(f"   $ {shlex.join(command)}", flush=True)
            code, output = self.call(command, show=True)
            if code and words[0] != "backfill":
                raise CannotRun(f"airflow {words[0]} failed; what is said above is the reason")
        lines = [numbers_in(line) for line in LINE.findall(output or "")]
        if not lines:
            raise CannotRun("the backfill did not start; the reason is above")
        return code, lines

    def files(self, name):
        """Return the files that a number counts, which is that of `files ...` or `lines in ...`."""
        counts = re.fullmatch(r"(?:files|lines in) (\S+)", name)
        return list(self.file.parent.glob(counts[1])) if counts else []

    def measure(self, name, code, lines):
        """Return the number of this name that came out, as a text."""
        if name == "exit code":
            return str(code)
        if most := re.fullmatch("most (.+) at once", name):
            return str(max(int(line[most[1]]) for line in lines))
        if tries := re.fullmatch(r"tries of (\w+)", name):
            return str(len(self.logs(tries[1])))
        if name.startswith("files"):
            return str(len(self.files(name)))
        if name.startswith("lines in"):
            return str(sum(len(file.read_text().splitlines()) for file in self.files(name)))
        return lines[-1][name]

    def logs(self, task, day=None):
        """Return the log files of a task, one for each try, of a day or of all days."""
        runs = f"*{day}*" if day else "*"
        folder = f"logs/dag_id={self.dag_id}/run_id={runs}/task_id={task}"
        return list(self.home.glob(f"{folder}/**/attempt=*[0-9].log"))

    def log_says(self, task, day, text):
        """Return whether a log of a task of a day has a text in it."""
        return any(text in log.read_text("utf-8", "replace") for log in self.logs(task, day))
