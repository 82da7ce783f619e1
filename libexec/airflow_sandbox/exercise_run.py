"""Airflow with nothing but the DAG of an exercise, and what comes out of it."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from itertools import chain
from pathlib import Path

from airflow_sandbox.errors import UserError
from airflow_sandbox.exercises import ROOT, numbers_in
from airflow_sandbox.interruption import Relay
from airflow_sandbox.metadata_db import empty_database, open_database
from airflow_sandbox.paths import shown
from airflow_sandbox.progress import LINE
from airflow_sandbox.ui import find_running
from airflow_sandbox.waiting import is_terminal, status_line


class Sandbox:
    """Airflow with nothing but the DAG of one file, and nothing of earlier runs.

    Its servers may be running (`make ui N=...`); the backfill uses these then.
    exercise: the Exercise. file: its DAG file, the learner's or the solution's. read: the command
    that lets Airflow read the DAG files. backfill: the words of the command that runs a backfill,
    with DAG for the name of the DAG.
    """

    def __init__(self, exercise, file, read, backfill):
        self.dag_id, self.file, self.read_command = exercise.dag_id, file, read
        self.backfill = [self.dag_id if word == "DAG" else word for word in backfill]
        self.environment = {**os.environ, "RUN_AGAIN": exercise.again}
        self.stopped = Relay().received  # the command that runs receives them, too, and tidies up
        self.home = Path(os.environ["AIRFLOW_HOME"])
        if find_running(self.home):
            for dag_id in open_database(self.home).all_dag_ids():
                self.call(["airflow", "dags", "delete", "--yes", dag_id])
        else:
            empty_database(self.home)
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
        output = latest = ""
        with status_line() as status:
            for line in chain(process.stdout, [""]):
                output += line
                # Of the progress lines, a terminal keeps the last one.
                if LINE.search(line) and is_terminal():
                    latest = line
                    status(line.rstrip())
                elif show and (line or latest):
                    status()
                    print(latest + line, end="", flush=True)
                    latest = ""
        code = process.wait()
        if self.stopped:
            sys.exit(128 + self.stopped[0])
        return code, output

    def read(self):
        """Let Airflow read the DAG file; raises UserError if there is no such DAG in it."""
        new = self.home.with_name("dags.new")
        new.unlink(missing_ok=True)
        new.symlink_to(self.file.parent)
        new.replace(self.home.with_name("dags"))
        code, output = self.call([self.read_command])
        if code or self.dag_id not in (self.home / "dags.stored").read_text("utf-8").split():
            why = "\n".join(re.findall(r"^[a-z]+-[a-z]+: (.*)", output, re.MULTILINE))
            none = f"{shown(self.file)} has no DAG {self.dag_id}"
            raise UserError(why or (output if code else none))

    def run(self, runs):
        """Run commands of Airflow's; return exit code and progress lines of the last backfill, the
        lines as numbers, and the last one as text."""
        code = output = None
        for words in runs:
            is_backfill = words[0] == "backfill"
            command = [*self.backfill, *words[1:]] if is_backfill else ["airflow", *words]
            print(f"   $ {shlex.join(command)}", flush=True)
            code, output = self.call(command, show=True)
            # Beside the UI, an earlier run may have left what a command adds.
            if code and not is_backfill and "already exists" not in output:
                raise UserError(f"airflow {words[0]} failed; what is said above is the reason")
        found = [line for line in (output or "").splitlines() if LINE.search(line)]
        lines = [numbers_in(LINE.search(line)[1]) for line in found]
        if not lines:
            raise UserError("the backfill did not start; the reason is above")
        return code, lines, found[-1]

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
        if pool := re.fullmatch(r"tasks in pool (\w+)", name):
            return str(open_database(self.home).tasks_in_pool(self.dag_id, pool[1]))
        if stored := re.fullmatch(r"(successful runs|versions) of (\w+)", name):
            count = getattr(open_database(self.home), stored[1].replace(" ", "_"))
            return str(count(stored[2]))
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

    def returned(self, task):
        """Return whether a task has returned a value, which Airflow keeps as an XCom."""
        return open_database(self.home).has_xcom(self.dag_id, task)

    def is_after(self, task, earlier):
        """Return whether in each DAG run a task has begun after the end of another one."""
        return open_database(self.home).is_after(self.dag_id, task, earlier)

    def log_says(self, task, day, text):
        """Return whether a log of a task of a day has a text in it."""
        text = re.sub(r"[][]", "", text)
        return any(text in log.read_text("utf-8", "replace") for log in self.logs(task, day))
