"""A backfill of Airflow 3, from its creation to its last progress line.

OwnServers runs it with servers of its own, BesideUI with those of `make ui`.
"""

import contextlib
import http.client
import itertools
import json
import os
import re
import shlex
import time
from collections import namedtuple
from pathlib import Path

import psutil

from airflow_sandbox.celery_workers import API_URL
from airflow_sandbox.interruption import ignore_signals
from airflow_sandbox.metadata_db import open_database
from airflow_sandbox.paths import shown
from airflow_sandbox.process_tree import ProcessTree, members
from airflow_sandbox.progress import Progress, finished, name_of, progress_line, succeeded
from airflow_sandbox.running_ui import LOCKED_TIMEOUT, Refused
from airflow_sandbox.servers import (
    HOST,
    START_TIMEOUT,
    TICK,
    Servers,
    free_port,
    tail,
    wait,
    wait_for_answer,
)
from airflow_sandbox.stall import Stall

LONGEST_PAUSE = 5  # seconds between two looks at the runs of a backfill
RESTARTS = 20  # how many times servers that ended by themselves are started again
LOCKED = "database is locked"  # SQLite's words for a write that it refuses
# What Airflow says in the last line if it creates no backfill: an exception of its own, or this.
REFUSAL = re.compile(r"^(?:airflow\.[\w.]+|Warning): (.+)$")


class CannotRun(Exception):
    """The backfill could not be run; the message says why and what to do."""


OPTIONS = "max_active_runs run_backwards dag_run_conf reprocess_behavior"


class Options(namedtuple("Options", OPTIONS)):
    """Airflow's own options of a backfill; None is Airflow's default.

    max_active_runs: int. run_backwards: bool. dag_run_conf: a dict. reprocess_behavior: which days
    that have run before are to run again: none, failed or completed.
    """

    def words(self):
        """Return them as `airflow backfill create` takes them."""
        words = ["--reprocess-behavior", self.reprocess_behavior]
        if self.max_active_runs is not None:
            words += ["--max-active-runs", str(self.max_active_runs)]
        if self.run_backwards:
            words += ["--run-backwards"]
        if self.dag_run_conf is not None:
            words += ["--dag-run-conf", json.dumps(self.dag_run_conf)]
        return words

    def body(self):
        """Return them as the REST API takes them."""
        return {name: value for name, value in self._asdict().items() if value is not None}


class Backfill:
    """What both kinds of backfill have in common: they watch it, and show what failed.

    dag_id, start, end: what to run; dates, inclusive. options: Options. home: AIRFLOW_HOME, with a
    migrated metadata database. A subclass has run(), check() and record, the file of the process
    tree that the scheduler is in.
    """

    def __init__(self, dag_id, start, end, options, home):
        self.dag_id, self.start, self.end, self.home = dag_id, start, end, home
        self.options = options
        self.logs = home / "logs"
        # The tasks' logs are in the folder that all machines share, if there is one.
        self.task_logs = Path(os.environ.get("AIRFLOW__LOGGING__BASE_LOG_FOLDER", self.logs))
        self.database = open_database(home)
        try:
            self.was_paused = self.database.dag_is_paused(dag_id)
        except LookupError as error:
            raise CannotRun(
                f"the metadata database knows no DAG {dag_id!r}; make list-dags shows which it"
                " knows"
            ) from error

    def check_created(self):
        """Find the backfill that was just created; return its runs.

        Raises CannotRun if it is not to run all days.
        """
        self.backfill_id = self.database.open_backfills(self.dag_id)[-1]
        runs = self.database.runs(self.backfill_id)
        if len(runs) > 1:
            print(f"   {len(runs)} DAG runs; Ctrl-C stops them all")
        refused = [f"{run.logical_date} ({run.obstacle})" for run in runs if run.obstacle]
        if refused and self.options.reprocess_behavior == "completed":
            raise CannotRun(f"Airflow refused to run {self.dag_id} for {', '.join(refused)}")
        if refused:  # as was asked for
            print(f"   not run again: {', '.join(refused)}")
        if len(refused) == len(runs):
            raise CannotRun(f"nothing of {self.dag_id} is to be run for these days")
        if missing := self.database.missing_pools(self.backfill_id):
            task_id, pool = missing[0]
            raise CannotRun(
                f"task {task_id} of {self.dag_id} asks for the pool {pool!r}, which does not exist;"
                f" create it: bin/sandbox airflow pools set {shlex.quote(pool)} 1 ''"
            )
        return runs

    def watch(self):
        """Print the progress line whenever it changes, until all runs have finished or are stuck.

        Returns the runs, and in words why nothing that is left can ever run, or None.
        """
        workers = set()
        with Progress(self.runs()) as progress:
            stall = Stall(
                self.dag_id,
                self.database,
                self.servers,
                self.log_of,
                progress.say,
                self.worker_hint(),
            )
            for look in itertools.count():
                began = time.monotonic()
                self.check()
                if look % 10 == 0:
                    self.check_workers(workers)
                runs = self.runs()
                deadlock = stall.look(runs)
                if progress.update(progress_line(runs, deadlock), runs):
                    self.prepare_for(runs, progress)
                if deadlock or all(map(finished, runs)):
                    break
                time.sleep(pause_after(time.monotonic() - began))
        return runs, stall.deadlock() if deadlock else None

    def conclude(self, runs, deadlock):
        """Show what failed, and what watch() says of a deadlock; return whether all went well.

        Not before the scheduler has ended: a task closes its log after its last report.
        """
        self.show_failures(runs)
        if deadlock:
            print(f"\nbackfill: {deadlock}")
        return not deadlock and all(map(succeeded, runs))

    def runs(self):
        """Return the runs of the backfill that are to be run, as a list of metadata_db.Run."""
        return [run for run in self.database.runs(self.backfill_id) if not run.obstacle]

    def prepare_for(self, runs, progress):
        """Start what the runs need and what is not there yet. Nothing, where others start it."""

    def worker_hint(self):
        """Say where the workers are, for a message about tasks that none of them takes."""
        return f"The scheduler starts them; its log: {shown(self.logs / 'scheduler.log')}"

    def check_workers(self, seen):
        """Raise CannotRun if a process of the executor has died since the last look.

        Airflow would not notice for five minutes, or never: what it was doing is never reported,
        and if it was waiting for work, it takes the lock of the queue of work with it.
        seen: set of the process numbers that were seen so far; is brought up to date.
        """
        alive = executor_workers(self.record)
        self.check()  # or have all of them ended?
        if alive and seen - alive:
            with contextlib.suppress(TimeoutError):  # or are all of them just ending?
                wait(lambda: False, "the servers to end", self.check, 3)
            log = self.logs / "scheduler.log"
            raise CannotRun(
                f"a process that runs tasks was killed; the end of {shown(log)}:\n{tail(log)}"
            )
        seen |= alive

    def show_failures(self, runs):
        """Print, for each failed task, the end of its log and where the whole of it is."""
        for run in runs:
            for key, ti in run.tasks.items():
                if ti.state == "failed":
                    log = self.log_of(run, key, ti)
                    print(f"\nbackfill: task {name_of(key)} of {run.logical_date} failed;", end=" ")
                    print(f"{shown(log)} ends:")
                    print(tail(log) if log.exists() else "")
                    if not log.exists() or not log.stat().st_size:  # it did not even start
                        scheduler = self.logs / "scheduler.log"
                        print(f"it wrote nothing; {shown(scheduler)} ends:\n{tail(scheduler)}")

    def log_of(self, run, key, ti):
        """Return the log file of a task instance's present try, as in log_filename_template."""
        task_id, map_index = key
        folder = (
            self.task_logs / f"dag_id={self.dag_id}" / f"run_id={run.run_id}" / f"task_id={task_id}"
        )
        if map_index >= 0:
            folder /= f"map_index={map_index}"
        return folder / f"attempt={ti.try_number}.log"


class OwnServers(Backfill):
    """A backfill with a scheduler and an api-server of its own, which end with it.

    workers: CeleryWorkers, or None if the scheduler's own executor runs the tasks.
    """

    def __init__(self, *what, workers=None):
        super().__init__(*what)
        self.record = self.home / "backfill.processes"
        self.workers = workers

    def run(self):
        """Run it; return whether every task succeeded or was skipped.

        Raises CannotRun or ServerEnded.
        """
        with ProcessTree(self.record) as tree:
            self.servers = Servers(tree, self.logs, self.restarts())
            self.check = self.servers.check
            try:
                self.repair(tree)
                # The slowest things at the same time; but SQLite takes one writer at a time, so
                # there the scheduler has to wait until the backfill is written.
                self.start_api_server()
                if self.database.has_one_writer:
                    self.create()
                    self.start_scheduler()
                else:
                    self.start_scheduler()
                    self.create()
                self.wait_for_api_server()
                # A paused DAG's backfill stays queued. Not before now: the first task would
                # find an API that is still loading, and give up on it after five seconds.
                self.database.pause_dag(self.dag_id, False)
                outcome = self.watch()
                self.stop_executor(all(map(succeeded, outcome[0])))
            finally:
                # Leave nothing running and nothing open, whatever happened.
                ignore_signals()
                tree.end()
                self.close_backfills()
                self.database.pause_dag(self.dag_id, self.was_paused)
        return self.conclude(*outcome)

    def restarts(self):
        """Return how many times servers that end by themselves are started again.

        A team's Postgres and broker may be restarted, on which Airflow's servers end. Tasks in
        workers outlive that; those of LocalExecutor end with the scheduler.
        """
        named = os.environ.get("BROKER_URL") or self.home.with_name("db-url").exists()
        return RESTARTS if self.workers and named else 0

    def stop_executor(self, all_went_well):
        """Let the executor end its tasks, the last of which closes its log after its last report.

        Not for ever: one stop in some fourteen was seen to hang, and by now nothing but the end of
        a log can be lost. Workers take some seconds; where no log is to be shown, they are killed.
        """
        workers = [] if all_went_well or not self.workers else self.workers.names()
        self.servers.stop("scheduler", *workers, timeout=5)

    def repair(self, tree):
        """Close what an earlier run left open when it was killed."""
        if tree.leftovers:
            print(f"   repaired: ended {tree.leftovers} processes of a killed backfill")
        for backfill_id in self.close_backfills():
            print(f"   repaired: closed backfill {backfill_id}, which had been cut short")

    def close_backfills(self):
        """Close the DAG's open backfills, of which nothing may be running; return their ids."""
        still_open = self.database.open_backfills(self.dag_id)
        for backfill_id in still_open:
            self.database.close_backfill(backfill_id)
        return still_open

    def start_api_server(self):
        """Start an api-server with the execution API alone: on a free port of this machine, or
        where other machines reach it."""
        listen = self.workers and self.workers.listen
        self.address = listen or (HOST, free_port())
        host, port = self.address
        url = f"http://{host}:{port}/execution/"
        self.environment = {API_URL: url}
        options = ["--apps", "execution", "--host", host, "--port", str(port), "--workers", "1"]
        self.servers.start("api-server", ["airflow", "api-server", *options])
        if self.workers:
            self.environment.update(self.workers.environment())
            self.workers.start(self.servers, **self.environment)

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
        process, log = self.servers.run("backfill-create", self.create_command())
        wait(lambda: process.poll() is not None, "airflow backfill create to end", self.check)
        if process.returncode == 0 and self.database.open_backfills(self.dag_id):
            return True
        text = log.read_text(errors="replace")
        if LOCKED in text and not last_try:
            return False
        if refusal := REFUSAL.search(text.rstrip().rpartition("\n")[2]):
            raise CannotRun(
                f"Airflow creates no backfill: {refusal[1]} (see schedule= in its file)"
            )
        raise CannotRun(f"airflow backfill create failed; the end of {shown(log)}:\n{tail(log)}")

    def create_command(self, *more):
        """Return the command that creates the backfill."""
        dates = ["--from-date", str(self.start), "--to-date", str(self.end)]
        command = ["airflow", "backfill", "create", "--dag-id", self.dag_id, *dates]
        return [*command, *self.options.words(), *more]

    def worker_hint(self):
        return self.workers.where() if self.workers else super().worker_hint()

    def start_scheduler(self):
        """Start the scheduler, whose executor runs the tasks, or hands them to the workers."""
        self.servers.start(
            "scheduler",
            # Its log server would listen to the whole network.
            ["airflow", "scheduler", "--skip-serve-logs"],
            **self.environment,
            # No DAG runs but the backfill's: else it adds today's own, which is then in the way.
            AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE="False",
        )

    def prepare_for(self, runs, progress):
        """Start a triggerer as soon as a task is deferred; most DAGs have no such task."""
        deferred = any(ti.state == "deferred" for run in runs for ti in run.tasks.values())
        if deferred and "triggerer" not in self.servers:
            progress.say()
            command = ["airflow", "triggerer", "--skip-serve-logs"]
            self.servers.start("triggerer", command, **self.environment)

    def wait_for_api_server(self):
        """Wait until the execution API answers; its first answer takes it some seconds."""

        def is_healthy():
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection = http.client.HTTPConnection(*self.address, timeout=START_TIMEOUT)
                connection.request("GET", "/execution/health")
                return connection.getresponse().status == 200

        wait_for_answer(is_healthy, "the api-server to answer", self.check)
        if self.workers and self.workers.listen:
            self.workers.tell_how_to_join(self.environment[API_URL])


class BesideUI(Backfill):
    """A backfill that the servers of the web pages run, where it can be seen as it goes.

    ui: the RunningUI.
    """

    def __init__(self, *what, ui):
        super().__init__(*what)
        self.ui, self.record = ui, ui.record

    def run(self):
        """Run it; return whether every task succeeded or was skipped. Raises CannotRun."""
        with ProcessTree(self.home / "backfill.processes") as tree:  # one backfill at a time
            self.servers = Servers(tree, self.logs)  # for questions
            print("   the servers of the web pages run it, as soon as they are ready")
            wait_for_answer(self.ui.is_ready, "the web pages to be ready", self.check)
            try:
                self.end_finished()
                try:
                    self.ui.create_backfill(
                        self.dag_id,
                        self.start,
                        self.end,
                        self.options,
                        self.database.has_one_writer,
                    )
                    self.show_page(self.check_created())
                    outcome = self.watch()
                finally:
                    self.close()
            except Refused as error:
                raise CannotRun(str(error)) from error
            except ConnectionError:
                # Of servers that end, the one that answers may be the first.
                with contextlib.suppress(TimeoutError):
                    wait(lambda: False, "the web pages to end", self.check, 5)
                raise
        return self.conclude(*outcome)

    def check(self):
        """Raise CannotRun if the servers have ended."""
        if not self.ui.is_alive():
            raise CannotRun("the web pages, whose servers ran it, have ended")

    def end_finished(self):
        """Close the DAG's backfills that have run to their end; CannotRun if one has not."""
        for backfill_id in self.database.open_backfills(self.dag_id):
            if not all(map(finished, self.database.runs(backfill_id))):
                raise CannotRun(
                    f"Airflow is still running backfill {backfill_id} of {self.dag_id};"
                    " wait for its end, or cancel it in the web pages"
                )
            self.ui.end_backfill(backfill_id, self.dag_id, [])

    def show_page(self, runs):
        """Say where the backfill can be watched, and switch the DAG on."""
        print(f"   to watch it: {self.ui.page_of(self.dag_id, runs)}")
        if self.ui.switch_on(self.dag_id):
            print(f"   {self.dag_id} is switched on now, which every run there needs, so")
            print("   Airflow also runs it for today; the switch is beside its name")

    def close(self):
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
                    with contextlib.suppress(TimeoutError):
                        wait(lambda: not self.ui.is_alive(), "the web pages to end")
            self.database.close_backfill(backfill_id)


def pause_after(seconds):
    """Return how many seconds to wait between two looks at the runs, if the last took so many.

    A look at a year of days takes some tenths of a second; looks are to cost a tenth of a core at
    most. One that took a minute was suspended meanwhile (Ctrl-Z, `docker pause`).
    """
    return min(max(TICK, 9 * seconds), LONGEST_PAUSE)


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
