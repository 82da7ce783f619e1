#!/usr/bin/env python3
"""Run an Airflow 3 backfill in the foreground, as `airflow backfill DAG -s DATE -e DATE` once did.

Usage:   bin/sandbox bin/backfill.py DAG_ID -s START_DATE -e END_DATE
Example: bin/sandbox bin/backfill.py dag_test -s 2026-11-23 -e 2026-11-23

Airflow 3's `airflow backfill create` only writes down what is to run. Something has to run it:
a scheduler, which decides and starts the tasks, and an api-server, which the tasks report to.
This command starts both for the time of one backfill, creates the backfill, prints a progress
line each time a task changes its state, and ends all that it started. On a terminal, a range of
dates has a progress bar instead, and the line at its end. Dates that have run before run again,
for real. The commands that it runs are printed as it goes, their output is in $AIRFLOW_HOME/logs.
While `make ui` runs, its servers are used instead, and left running.

Exit codes: 0 every task succeeded, 1 not all did, or the backfill could not run, 2 wrong usage,
128 + n interrupted by signal n (Ctrl-C: 130); an interrupted backfill is marked as failed.
"""

import argparse
import contextlib
import http.client
import itertools
import json
import os
import shlex
import signal
import socket
import sqlite3
import sys
import time
from collections import Counter
from datetime import date, datetime, timezone
from pathlib import Path

import psutil
from interruption import Interrupted, catch_signals, ignore_signals
from metadata_db import MetadataDB
from process_tree import ProcessTree, members
from running_ui import LOCKED_TIMEOUT, Refused, RunningUI
from tqdm import tqdm
from waiting import Asking, status_line

HOST = "127.0.0.1"
TICK = 0.1  # seconds between two looks at the metadata database; a look takes 0.2 ms
START_TIMEOUT = 180  # seconds for the servers to get ready: some 10 on a laptop, far more on a Pi
LOG_TAIL = 15  # lines shown of a failed task's log
# Airflow's own way to ask for "run it again, whatever its outcome was".
RUN_AGAIN = ["--reprocess-behavior", "completed"]
LOCKED = "database is locked"  # SQLite's words for a write that it refuses

# How the classic line counts Airflow 3's task instance states; None is "not looked at yet".
WAITING = {None, "scheduled", "up_for_retry", "up_for_reschedule", "deferred", "awaiting_input"}
RUNNING = {"queued", "running", "restarting"}
FAILED = {"failed", "upstream_failed"}


class CannotRun(Exception):
    """The backfill could not be run; the message says why and what to do."""


def progress_line(runs):
    """Return the `[backfill progress]` line of Airflow 1 and 2 for a list of metadata_db.Run.

    deadlocked: the unfinished tasks of a DAG run that Airflow gave up on although no task of it
    failed, since none of them can ever start.
    """
    states = Counter()
    deadlocked = 0
    for run in runs:
        of_run = Counter(state for state, _ in run.tasks.values())
        states += of_run
        if run.state == "failed" and not FAILED & of_run.keys():
            deadlocked += sum(of_run[state] for state in WAITING)

    def count(names):
        return sum(states[name] for name in names)

    return (
        f"INFO - [backfill progress] | finished run {sum(map(finished, runs))} of {len(runs)}"
        f" | tasks waiting: {count(WAITING)} | succeeded: {states['success']}"
        f" | running: {count(RUNNING)} | failed: {count(FAILED)} | skipped: {states['skipped']}"
        f" | deadlocked: {deadlocked} | not ready: {states[None]}"
    )


BAR = "   {desc} |{bar}|"  # how tqdm is to write it


def progress_bar(runs):
    """Return a tqdm for the tasks of these runs, which shows itself for a range on a terminal.

    It tells no rate and no time left until advance() sees a DAG run end: runs go side by side, so
    at first many tasks end at once, and then none for long.
    """
    no_bar = len(runs) == 1 or os.environ.get("V")  # the servers' logs would run through it
    return tqdm(
        total=sum(len(run.tasks) for run in runs),
        disable=True if no_bar else None,  # None: where there is no terminal
        unit=" tasks",
        bar_format=BAR,
        smoothing=0,  # the mean rate, for the same reason
        leave=False,
        file=sys.stdout,
        dynamic_ncols=True,
    )


def advance(bar, runs):
    """Bring a progress_bar up to date."""
    states = [state for run in runs for state, _ in run.tasks.values()]
    bar.n = len(states) - sum(state in WAITING | RUNNING for state in states)
    if any(map(finished, runs)):
        bar.bar_format = BAR + " {rate_noinv_fmt}, {remaining} left"
    said = f"{bar.n} of {len(states)} tasks, {sum(map(finished, runs))} of {len(runs)} DAG runs"
    if failed := sum(map(FAILED.__contains__, states)):
        said += f", failed: {failed}"
    bar.set_description_str(said, refresh=False)
    bar.refresh()


def finished(run):
    """Return whether a metadata_db.Run has come to its end, good or bad."""
    return run.state in ("success", "failed")


def tail(log, lines=LOG_TAIL):
    """Return the last lines of a log file as text; Airflow's task logs hold one JSON a line."""
    shown = []
    for line in log.read_text(errors="replace").splitlines():
        with contextlib.suppress(ValueError, KeyError, TypeError):
            line = str(json.loads(line)["event"])
        # "::group::" and the like are for the web page, which folds what is between them.
        shown += [part for part in line.splitlines() if not part.startswith("::")]
    return "\n".join("     | " + line for line in shown[-lines:])


class Backfill:
    """One backfill, from the check of what is there to the last progress line.

    dag_id, start, end: what to run; dates inclusive. home: AIRFLOW_HOME, with a migrated database.
    """

    def __init__(self, dag_id, start, end, home):
        self.dag_id, self.start, self.end = dag_id, start, end
        self.ui = RunningUI(home)
        self.beside_ui = self.ui.is_alive()
        self.logs = home / "logs"
        self.record = home / "backfill.processes"
        self.servers = {}  # {name: (Popen, log file)}
        try:
            self.database = MetadataDB(home / "airflow.db")
            self.was_paused = self.database.dag_is_paused(dag_id)
        except LookupError as error:
            raise CannotRun(
                f"the metadata database knows no DAG {dag_id!r}; make list-dags shows which it"
                " knows"
            ) from error

    def run(self):
        """Run it; return whether every task succeeded. Raises CannotRun or Interrupted."""
        with ProcessTree(self.record) as self.tree:
            if self.beside_ui:
                return self.run_beside_ui()
            try:
                self.repair()
                # The two slowest things, at the same time. The scheduler has to wait until the
                # backfill is written: SQLite takes one writer at a time.
                port = self.start_api_server()
                self.create()
                self.start_scheduler(port)
                self.wait_for_api_server(port)
                # A paused DAG's backfill stays queued. Not before now: the first task would
                # find an API that is still loading, and give up on it after five seconds.
                self.database.pause_dag(self.dag_id, False)
                runs = self.watch()
                self.stop_scheduler()
            finally:
                self.tidy_up()
        self.show_failures(runs)
        return all(run.state == "success" for run in runs)

    def run_beside_ui(self):
        """The same with the servers of the web pages, where the backfill can be seen as it goes."""
        print("   the servers of the web pages run it, as soon as they are ready")
        self.wait_for_answer(self.ui.is_ready, "the web pages to be ready")
        try:
            for backfill_id in self.database.open_backfills(self.dag_id):
                if not all(map(finished, self.database.runs(backfill_id))):
                    raise CannotRun(
                        f"Airflow is still running backfill {backfill_id} of {self.dag_id};"
                        " wait for its end, or cancel it in the web pages"
                    )
                self.ui.end_backfill(backfill_id, self.dag_id, [])
            try:
                self.ui.create_backfill(self.dag_id, self.start, self.end)
                runs = self.check_created()
                print(f"   to watch it: {self.ui.page_of(self.dag_id, runs)}")
                if self.ui.switch_on(self.dag_id):
                    print(f"   {self.dag_id} is switched on now, which every run there needs, so")
                    print("   Airflow also runs it for today; the switch is beside its name")
                runs = self.watch()
            finally:
                self.close_beside_ui()
        except Refused as error:
            raise CannotRun(str(error)) from error
        except ConnectionError:
            # Of servers that end, the one that answers may be the first.
            with contextlib.suppress(TimeoutError):
                self.wait(lambda: False, "the web pages to end", 5)
            raise
        self.show_failures(runs)
        return all(run.state == "success" for run in runs)

    def close_beside_ui(self):
        """Leave no backfill open, whatever happened; not to be interrupted."""
        ignore_signals()
        for backfill_id in self.database.open_backfills(self.dag_id):
            unfinished = [
                run.run_id
                for run in self.database.runs(backfill_id)
                if run.state and not finished(run)
            ]
            if self.ui.is_alive():
                try:
                    self.ui.end_backfill(backfill_id, self.dag_id, unfinished)
                    continue
                except (OSError, http.client.HTTPException):  # they are just ending
                    with contextlib.suppress(CannotRun, TimeoutError):
                        self.wait(lambda: not self.ui.is_alive(), "the web pages to end")
            self.database.close_backfill(backfill_id)

    def repair(self):
        """Close what an earlier run left open when it was killed."""
        if self.tree.leftovers:
            print(f"   repaired: ended {self.tree.leftovers} processes of a killed backfill")
        for backfill_id in self.close_backfills():
            print(f"   repaired: closed backfill {backfill_id}, which had been cut short")

    def tidy_up(self):
        """Leave nothing running and nothing open, whatever happened; not to be interrupted."""
        ignore_signals()
        self.tree.end()
        self.close_backfills()
        self.database.pause_dag(self.dag_id, self.was_paused)

    def close_backfills(self):
        """Close the DAG's open backfills, of which nothing may be running; return their ids."""
        still_open = self.database.open_backfills(self.dag_id)
        for backfill_id in still_open:
            self.database.close_backfill(backfill_id)
        return still_open

    def launch(self, name, *arguments, **environment):
        """Start an airflow command in the tree; announce it with the path of its log."""
        log = self.logs / f"{name}.log"
        print(f"   $ airflow {shlex.join(arguments)}   (log: {shown(log)})")
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            process = self.tree.start(["airflow", *arguments], output, **environment)
        if os.environ.get("V"):
            self.tree.start(["tail", "-n", "+1", "-f", str(log)])
        return process, log

    def start_api_server(self):
        """Start an api-server with the execution API alone, on a free port; return the port."""
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port = probe.getsockname()[1]
        arguments = ["--apps", "execution", "--host", HOST, "--port", str(port), "--workers", "1"]
        self.servers["api-server"] = self.launch("api-server", "api-server", *arguments)
        return port

    def create(self):
        """Write the backfill and its DAG runs into the metadata database.

        The api-server writes a row as it starts. If that falls between what Airflow reads here and
        what it writes, SQLite refuses the write at once, and Airflow leaves the second try to us.
        """
        deadline = time.monotonic() + LOCKED_TIMEOUT
        while not self.try_to_create(last_try=time.monotonic() > deadline):
            print("   another process was writing to the metadata database; once more")
            self.close_backfills()
        self.check_created()

    def try_to_create(self, last_try):
        """Create it; return False if the database was locked and this is not the last try."""
        dates = ["--from-date", str(self.start), "--to-date", str(self.end)]
        command = ["backfill", "create", "--dag-id", self.dag_id, *dates, *RUN_AGAIN]
        process, log = self.launch("backfill-create", *command)
        self.wait(lambda: process.poll() is not None, "airflow backfill create to end")
        if process.returncode == 0 and self.database.open_backfills(self.dag_id):
            return True
        if LOCKED in log.read_text(errors="replace") and not last_try:
            return False
        raise CannotRun(f"airflow backfill create failed; the end of {shown(log)}:\n{tail(log)}")

    def check_created(self):
        """Find the backfill that was just created; return its runs.

        Raises CannotRun if it is not to run all days.
        """
        self.backfill_id = self.database.open_backfills(self.dag_id)[-1]
        runs = self.database.runs(self.backfill_id)
        if len(runs) > 1:
            print(f"   {len(runs)} DAG runs; Ctrl-C stops them all")
        for run in runs:
            if run.obstacle:
                raise CannotRun(
                    f"Airflow refused to run {self.dag_id} for {run.logical_date}: {run.obstacle}"
                )
        return runs

    def start_scheduler(self, port):
        """Start the scheduler, whose executor runs the tasks."""
        self.servers["scheduler"] = self.launch(
            "scheduler",
            "scheduler",
            "--skip-serve-logs",  # its log server would listen to the whole network
            AIRFLOW__CORE__EXECUTION_API_SERVER_URL=f"http://{HOST}:{port}/execution/",
            # No DAG runs but the backfill's: else it adds today's own, which is then in the way.
            AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE="False",
        )

    def wait_for_api_server(self, port):
        """Wait until the execution API answers; its first answer takes it some seconds."""

        def is_healthy():
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection = http.client.HTTPConnection(HOST, port, timeout=START_TIMEOUT)
                connection.request("GET", "/execution/health")
                return connection.getresponse().status == 200

        self.wait_for_answer(is_healthy, "the api-server to answer")

    def watch(self):
        """Print the progress line whenever it changes; return the runs when all have finished."""
        line, workers = None, set()
        with progress_bar(self.database.runs(self.backfill_id)) as bar:
            print_lines = bar.disable
            for look in itertools.count():
                self.check()
                if look % 10 == 0:
                    self.check_workers(workers)
                runs = self.database.runs(self.backfill_id)
                changed = line != (line := progress_line(runs))
                if print_lines and changed:
                    print(line)
                if changed or look % 10 == 0:
                    advance(bar, runs)
                if all(map(finished, runs)):
                    break
                time.sleep(TICK)
        if not print_lines:
            print(line)
        return runs

    def stop_scheduler(self):
        """Let the last task's process close its log, which it does after its last report.

        An executor that is asked to stop waits for its tasks. Not for ever: one stop in some
        fourteen was seen to hang, and by now nothing but the end of a log can be lost.
        """
        scheduler, _ = self.servers.pop("scheduler")
        scheduler.terminate()
        with contextlib.suppress(TimeoutError):
            self.wait(lambda: scheduler.poll() is not None, "the scheduler to end", 5)

    def wait(self, condition, what, timeout=START_TIMEOUT):
        """Wait until condition() is true; raises TimeoutError after timeout seconds."""
        began = time.monotonic()
        with status_line() as show:
            while not condition():
                self.check()
                seconds = int(time.monotonic() - began)
                if seconds > timeout:
                    raise TimeoutError(
                        f"waited {timeout} s for {what}; its log is in {shown(self.logs)}"
                    )
                if seconds:
                    show(f"   waiting for {what} ({seconds} s)")
                time.sleep(TICK)

    def wait_for_answer(self, ask, what):
        """The same for a condition that can take long to find out."""
        with Asking(ask) as asking:
            self.wait(lambda: asking.answer, what)

    def check(self):
        """Raise CannotRun if a server has died."""
        for name, (process, log) in self.servers.items():
            if process.poll() is not None:
                code = process.returncode
                killed = ", so it was killed" if code == -signal.SIGKILL else ""
                raise CannotRun(
                    f"the {name} ended by itself (exit code {code}{killed});"
                    f" the end of {shown(log)}:\n{tail(log)}"
                )
        if self.beside_ui and not self.ui.is_alive():
            raise CannotRun("the web pages, whose servers ran it, have ended")

    def check_workers(self, seen):
        """Raise CannotRun if a process of the executor has died since the last look.

        Airflow would not notice for five minutes, or never: what it was doing is never reported,
        and if it was waiting for work, it takes the lock of the queue of work with it.
        seen: set of the process numbers that were seen so far; is brought up to date.
        """
        log = self.logs / "scheduler.log"
        alive = executor_workers(self.ui.running.record if self.beside_ui else self.record)
        self.check()  # or is it that all are gone?
        if alive and seen - alive:
            raise CannotRun(
                f"a process that runs tasks was killed; the end of {shown(log)}:\n{tail(log)}"
            )
        seen |= alive

    def show_failures(self, runs):
        """Print, for each failed task, the end of its log and where the whole of it is."""
        for run in runs:
            for task_id, (state, try_number) in run.tasks.items():
                if state == "failed":
                    log = self.logs.joinpath(
                        f"dag_id={self.dag_id}",
                        f"run_id={run.run_id}",
                        f"task_id={task_id}",
                        f"attempt={try_number}.log",
                    )
                    print(f"\nbackfill: task {task_id} of {run.logical_date} failed;", end=" ")
                    print(f"{shown(log)} ends:")
                    print(tail(log) if log.exists() else "")
                    if not log.exists() or not log.stat().st_size:  # it did not even begin
                        scheduler = self.logs / "scheduler.log"
                        print(f"it wrote nothing; {shown(scheduler)} ends:\n{tail(scheduler)}")


def executor_workers(record):
    """Return the process numbers of LocalExecutor's workers in the tree of a record file.

    Whose children they are depends on how multiprocessing starts them: the scheduler's (fork,
    spawn) or those of a server that forks for it (forkserver). They are known by the name that
    Airflow gives them, or on macOS, where it gives none, by that of multiprocessing; a test
    notices when these change. A task's process has its worker's name when it is new.
    """
    named = {}
    for process in members(record):
        with contextlib.suppress(psutil.Error, SystemError):
            command = " ".join(process.cmdline())
            if "LocalExecutor" in command or "--multiprocessing-fork" in command:
                named[process.pid] = process.ppid()
    return {pid for pid, parent in named.items() if parent not in named}


def shown(path):
    """Return a path as a user would type it: relative if it is below the current directory."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def parse(arguments):
    """Return the parsed arguments, checked; exits with 2 and one line if they are wrong."""
    parser = argparse.ArgumentParser(
        prog="backfill", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dag_id")
    parser.add_argument("-s", "--start-date", required=True, metavar="YYYY-MM-DD")
    parser.add_argument("-e", "--end-date", required=True, metavar="YYYY-MM-DD")
    args = parser.parse_args(arguments)
    for name in ("start_date", "end_date"):
        try:
            setattr(args, name, date.fromisoformat(getattr(args, name)))
        except ValueError as error:
            parser.error(f"--{name.replace('_', '-')}: {error}; expected YYYY-MM-DD")
    if args.start_date > args.end_date:
        parser.error(f"the start date {args.start_date} is after the end date {args.end_date}")
    today = datetime.now(timezone.utc).date()
    if args.end_date > today:
        parser.error(f"{args.end_date} is in the future: it is {today} in UTC")
    return args


def main(arguments=None):
    """Run the backfill that the arguments describe; return the exit code."""
    args = parse(arguments)
    sys.stdout.reconfigure(line_buffering=True)  # progress shows at once in a pipe, too
    if "AIRFLOW_HOME" not in os.environ:
        print(
            "backfill: AIRFLOW_HOME is not set; run it with: bin/sandbox bin/backfill.py",
            file=sys.stderr,
        )
        return 2
    home = Path(os.environ["AIRFLOW_HOME"])
    again = f"make backfill START={args.start_date} END={args.end_date}"
    catch_signals()
    try:
        succeeded = Backfill(args.dag_id, args.start_date, args.end_date, home).run()
    except BlockingIOError:
        print(
            "backfill: another backfill is running in this checkout; wait for its end",
            file=sys.stderr,
        )
        return 1
    except BrokenPipeError:
        sys.stdout = None  # else Python tries to flush it once more
        print(
            "backfill: nobody reads its output any more, so it was stopped; to run it again:"
            f" {again}",
            file=sys.stderr,
        )
        return 1
    except sqlite3.Error as error:
        # Such as a full disk, of which the servers' logs have no word then.
        print(
            f"backfill: the metadata database {shown(home / 'airflow.db')}: {error}; nothing is"
            f" left running; to run it again: {again}",
            file=sys.stderr,
        )
        return 1
    except (CannotRun, TimeoutError, OSError) as error:
        print(f"backfill: {error}", file=sys.stderr)
        return 1
    except Interrupted as interrupted:
        number = interrupted.args[0]
        print(
            f"backfill: interrupted by {signal.Signals(number).name}; nothing of it is left"
            f" running, what had not ended is marked as failed; to run it again: {again}",
            file=sys.stderr,
        )
        return 128 + number
    if not succeeded:
        print(
            f"\nbackfill: not every task succeeded; mend what the log says, then run: {again}",
            file=sys.stderr,
        )
    return 0 if succeeded else 1


if __name__ == "__main__":
    sys.exit(main())
