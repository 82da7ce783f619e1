"""A backfill of Airflow 3, from its creation to its last progress line.

OwnServers runs it with servers of its own, BesideUI with those of `make ui`. Both create it by
Airflow's own command, watch its rows in the metadata database, and close it there.
"""

import contextlib
import http.client
import itertools
import os
import re
import time
from collections import namedtuple
from datetime import date, datetime, timedelta, timezone
from datetime import time as clock
from zoneinfo import ZoneInfo

import psutil

from airflow_sandbox.celery_workers import API_URL
from airflow_sandbox.commands import make_command, sandbox_command
from airflow_sandbox.errors import UserError
from airflow_sandbox.hints import hint
from airflow_sandbox.interruption import ignore_signals
from airflow_sandbox.logs import log_folder, tail
from airflow_sandbox.metadata_db import open_database
from airflow_sandbox.paths import shown
from airflow_sandbox.process_tree import ProcessTree
from airflow_sandbox.progress import (
    FAILED,
    RUNNING,
    Progress,
    finished,
    name_of,
    progress_line,
    succeeded,
)
from airflow_sandbox.servers import (
    HOST,
    START_TIMEOUT,
    TICK,
    Servers,
    free_port,
    url,
    wait,
    wait_for_answer,
)
from airflow_sandbox.stall import Stall
from airflow_sandbox.waiting import red

LONGEST_PAUSE = 5  # seconds between two looks at the runs of a backfill
RESTARTS = 20  # how many times servers that ended by themselves are started again
CALLBACKS_LIMIT = 60  # seconds that callbacks, or runs by assets, get after the last DAG run
IDLE = 5  # seconds; the DAG processor begins with a callback some 1 after it has fetched it
# Servers that run only if something asks for them, as most DAGs do not.
ON_DEMAND = {"triggerer": ["--skip-serve-logs"], "dag-processor": []}
LASTING = {  # who_stopped() and in words
    "scheduler": "Airflow has switched it off, by its max_consecutive_failed_dag_runs",
    "file": "there is no such DAG any more in the DAGs folder",
}
# What Airflow says at the end if it creates no backfill: an exception of its own, or this.
REFUSAL = re.compile(r"(?ms).*^(?:airflow\.[\w.]+|Warning): (.+)")
NEAR = 367  # how many days away another run is looked for
RUN_TIME = re.compile(r"^\| .*?(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[+-]\d\d:\d\d)?)", re.MULTILINE)
WRONG_USAGE = re.compile(r"^airflow .*command error: (.+?)(?:, see help above\.)?$", re.MULTILINE)

# What to run. start, end: dates, inclusive. reprocess_behavior: which days that have run before are
# to run again: none, failed or completed. options: more words for `airflow backfill create`.
What = namedtuple("What", "dag_id start end reprocess_behavior options")


def zone_of(dag):
    """Return the time zone of a DAG's schedule, or of the DAG if that has none, as a tzinfo.

    dag: see MetadataDB.serialized_dag().
    """
    zone = dag["timetable"].get("__var", {}).get("timezone", dag.get("timezone", "UTC"))
    # Airflow stores one without a name as its seconds.
    return ZoneInfo(zone) if isinstance(zone, str) else timezone(timedelta(seconds=zone))


def moments(what, dag):
    """Return when the first day begins in a DAG's time zone, and when the last one ends, or now.

    dag: see MetadataDB.serialized_dag(). Raises UserError if a day has not begun there.
    """
    zone = zone_of(dag)
    now = datetime.now(zone).replace(microsecond=0)
    # A range may end with today in UTC, the default of make.
    latest = max(now.date(), datetime.now(timezone.utc).date())
    for day, today in (what.start, now.date()), (what.end, latest):
        if day > today:
            raise UserError(f"{day} is in the future: it is {today} in {zone}", 2)
    # fold: the later one, should the clocks be put back at midnight.
    end = datetime.combine(what.end, clock(23, 59, 59, fold=1), zone)
    return datetime.combine(what.start, clock.min, zone), min(end, now)


def create_command(what, dag):
    """Return the command of Airflow's that creates a backfill of a DAG, of whole days.

    dag: see MetadataDB.serialized_dag().
    """
    first, last = moments(what, dag)
    # A schedule that is a timedelta: Airflow counts from the first moment that it is given (its
    # issue 47813), so one day alone would have other runs than the same day in a range.
    step = dag["timetable"].get("__var", {}).get("delta")
    if isinstance(step, float) and "start_date" in dag:
        first += timedelta(seconds=(dag["start_date"] - first.timestamp()) % step)
    return [
        *["airflow", "backfill", "create", "--dag-id", what.dag_id],
        *["--from-date", first.isoformat(), "--to-date", last.isoformat()],
        *["--reprocess-behavior", what.reprocess_behavior, *what.options],
    ]


class Backfill:
    """What both kinds of backfill have in common.

    what: What. home: AIRFLOW_HOME, with a migrated metadata database. ui: the RunningUI whose
    servers run it, or None. restarts: see Servers. A subclass has run() and check().
    """

    def __init__(self, what, home, ui=None, restarts=0):
        self.what, self.dag_id, self.home, self.ui = what, what.dag_id, home, ui
        again = os.environ.get("RUN_AGAIN")  # of an exercise
        ui_command = again.replace("exercise", "ui") if again else make_command("ui")
        again = again or make_command("backfill", DAG=self.dag_id, DATE=what.end)
        in_ui = f"end this, type {ui_command}, and beside it {again}"
        self.answer_hint = f"at {url(ui.port)}required_actions" if ui else f"in the UI: {in_ui}"
        self.switch_on = sandbox_command("airflow", "dags", "unpause", "-y", self.dag_id)
        self.began = datetime.now(timezone.utc)
        self.logs = home / "logs"
        self.tree = ProcessTree(
            home / "backfill.processes",
            "another backfill is running in this checkout; wait for its end",
        )
        self.servers = Servers(self.tree, self.logs, restarts)
        self.worker_hint = f"The scheduler starts them; its log: {shown(self.logs)}/scheduler.log"
        self.database = open_database(home)
        try:
            self.was_paused = self.database.dag_is_paused(self.dag_id)
        except LookupError as error:
            raise UserError(
                f"the metadata database knows no DAG {self.dag_id!r}; {make_command('list-dags')}"
                " shows which it knows"
            ) from error
        self.dag = self.database.serialized_dag(self.dag_id)
        self.zone = zone_of(self.dag)

    def command(self, what, *words):
        """Run Airflow's command that creates a backfill to its end; return (Popen, its log)."""
        command = [*create_command(what, self.dag), *words]
        process, log = self.servers.run("backfill-create", command, quiet=bool(words))
        wait(lambda: process.poll() is not None, "airflow backfill create to end", self.check)
        return process, log

    def create(self):
        """Write the backfill and its DAG runs into the metadata database; return its id.

        Raises UserError if Airflow creates none, or one that is not to run all days.
        """
        process, log = self.command(self.what)
        backfills = self.database.open_backfills(self.dag_id)
        if process.returncode or not backfills:
            text = log.read_text(errors="replace")
            if refusal := REFUSAL.search(text):
                why = " ".join(refusal[1].split())
                why += hint(why, "; ")
                if why.startswith("No runs to create"):
                    why += self.days_that_have_runs()
                raise UserError(f"Airflow creates no backfill: {why}")
            if wrong := WRONG_USAGE.search(text):
                raise UserError(f"airflow backfill create: {wrong[1]}{hint(wrong[1], '; ')}", 2)
            raise UserError(
                f"airflow backfill create failed; the end of {shown(log)}:\n{tail(log)}"
            )
        self.check_created(backfills[-1])
        return backfills[-1]

    def days_that_have_runs(self):
        """Return in words why these days may have no run, and the nearest day that has one."""
        start, end = self.what.start, self.what.end
        today = datetime.now(self.zone).date()
        near = self.what._replace(
            start=date.fromordinal(max(start.toordinal() - NEAR, 3)),
            end=min(date.fromordinal(end.toordinal() + NEAR), today),
        )
        _, log = self.command(near, "--dry-run")
        times = map(datetime.fromisoformat, RUN_TIME.findall(log.read_text(errors="replace")))
        # One without a zone is the partition of a day.
        days = {(time.astimezone(self.zone) if time.tzinfo else time).date() for time in times}
        why = ""
        if end >= today:
            why = f"; a run that is due on {today} has a data interval that has not ended yet"
        if not days:
            return f"{why}; there is no run within a year of it"
        day = min(days, key=lambda day: (abs(day - end), day))
        again = make_command("backfill", DAG=self.dag_id, DATE=day)
        return f"{why}; the nearest day that has a run is {day} ({self.zone}): {again}"

    def check_created(self, backfill_id):
        """Raise UserError if a backfill that was just created is not to run all days."""
        runs = self.database.runs(backfill_id)
        if len(runs) > 1:
            print(f"   {len(runs)} DAG runs; Ctrl-C stops them all")
        refused = [f"{run.logical_date} ({run.obstacle})" for run in runs if run.obstacle]
        if refused and self.what.reprocess_behavior == "completed":
            raise UserError(
                f"Airflow refused to run {self.dag_id} for {', '.join(refused)}: a DAG run of the"
                " same day has not ended. Wait for its end, or end it in the Airflow UI. Should it"
                f" be queued, switch the DAG on: {self.switch_on}"
            )
        if refused:  # as was asked for
            print(f"   not run again: {', '.join(refused)}")
        if len(refused) == len(runs):
            raise UserError(f"nothing of {self.dag_id} is to be run for these days")
        if missing := self.database.missing_pools(backfill_id):
            task_id, pool = missing[0]
            raise UserError(
                f"task {task_id} of {self.dag_id} asks for the pool {pool!r}, which does not exist;"
                f" create it: {sandbox_command('airflow', 'pools', 'set', pool, '1', '')}"
            )

    def runs(self, backfill_id):
        """Return the runs of a backfill that are to be run, as a list of metadata_db.Run."""
        return [run for run in self.database.runs(backfill_id) if not run.obstacle]

    def watch(self, backfill_id):
        """Print the progress line whenever it changes, until all runs have finished or are stuck.

        Returns the runs, and in words why nothing that is left can ever run, or None.
        """
        workers, stopped, runs = set(), None, []
        with Progress(self.runs(backfill_id)) as progress:
            stall = Stall(self, progress.say)
            for look in itertools.count():
                began = time.monotonic()
                self.check()
                last, runs = runs, self.runs(backfill_id)
                # A task may end the process that runs it at once.
                if look % 10 == 0 or runs != last:
                    self.check_workers(workers)
                self.prepare_for(runs, backfill_id, progress.say)
                before, (stopped, lasts) = stopped, self.stopped(backfill_id)
                if stopped and stopped != before:
                    progress.say(f"   {stopped}")
                running = any(ti.state in RUNNING for run in runs for ti in run.tasks.values())
                deadlock = stopped if lasts and not running else stall.look(runs)
                progress.update(progress_line(runs, deadlock), runs)
                if all(map(finished, runs)):
                    return runs, None
                if deadlock:
                    return runs, deadlock
                time.sleep(pause_after(time.monotonic() - began))

    def stopped(self, backfill_id):
        """Return in words who keeps DAG runs from starting, or None, and whether it will last."""
        who = self.database.who_stopped(self.dag_id, backfill_id)
        if who is None:
            return None, False
        if who in LASTING:
            return f"no DAG run of {self.dag_id} starts any more: {LASTING[who]}", True
        return (
            f"no DAG run of {self.dag_id} starts, as {who} has switched it off; to switch it on:"
            f" {self.switch_on}"
        ), not self.ui

    def prepare_for(self, runs, backfill_id, say):
        """Start what the runs need and what is not there yet. Nothing, where others start it."""

    def finish_asset_runs(self):
        """Wait for the DAG runs that assets have started, but not for ever.

        In an exercise, that is: elsewhere only `make ui` starts any, and its servers remain.
        """
        if "RUN_AGAIN" in os.environ and self.database.asset_runs_left(self.began):
            print(f"   waiting for DAG runs that assets start, at most {CALLBACKS_LIMIT} s")
            with contextlib.suppress(TimeoutError):  # what has not ended is not counted
                left = self.database.asset_runs_left
                wait(lambda: not left(self.began), "them to end", self.check, CALLBACKS_LIMIT)

    def close_backfills(self):
        """Close the DAG's open backfills, and fail what of them has not ended; return their ids."""
        still_open = self.database.open_backfills(self.dag_id)
        for backfill_id in still_open:
            self.database.close_backfill(backfill_id)
        self.database.release_cancelled(self.dag_id)
        return still_open

    def check_workers(self, seen):
        """Raise UserError if a process of the executor has died since the last look.

        Airflow would not notice for five minutes, or never: what it was doing is never reported,
        and if it was waiting for work, it takes the lock of the queue of work with it.
        seen: set of the process numbers that were seen so far; is brought up to date.
        """
        if os.environ.get("EXECUTOR") == "celery":
            return  # they are workers of their own
        alive = set()
        for server in children_of(self.ui.pid if self.ui else os.getpid()):
            with contextlib.suppress(psutil.Error, SystemError):
                if "scheduler" in server.cmdline():
                    alive = {worker.pid for worker in children_of(server.pid)}
        self.check()  # or have all of them ended?
        if alive and seen - alive:
            with contextlib.suppress(TimeoutError):  # or are all of them just ending?
                wait(lambda: False, "the servers to end", self.check, 3)
            log = self.logs / "scheduler.log"
            raise UserError(
                f"a process that runs tasks was killed; the end of {shown(log)}:\n{tail(log)}"
            )
        seen |= alive

    def conclude(self, runs, deadlock):
        """Show the end of each failed task's log, and a deadlock; return whether all went well.

        Not before the scheduler has ended: a task closes its log after its last report.
        """
        for run in runs:
            for key, ti in run.tasks.items():
                if ti.state == "failed":
                    log = self.log_of(run, key, ti)
                    verdicts = self.database.verdicts(self.dag_id, run.run_id, key, self.began)
                    failed = red(f"task {name_of(key)} of {run.logical_date} failed")
                    print(f"\nbackfill: {failed}; {shown(log)} ends:")
                    print(tail(log) if log.exists() else "")
                    if not log.exists() or not log.stat().st_size:  # it did not even start
                        scheduler = self.logs / "scheduler.log"
                        print(f"it wrote nothing; {shown(scheduler)} ends:\n{tail(scheduler)}")
                    for verdict in verdicts[-1:]:
                        print(f"it failed, as the scheduler says: {verdict}")
            if run.state == "failed" and not FAILED & {ti.state for ti in run.tasks.values()}:
                failed = red(f"the DAG run of {run.logical_date} failed, and no task of it")
                print(f"\nbackfill: {failed}:")
                print("its dagrun_timeout was over, or somebody marked it as failed")
        if deadlock:
            print(f"\nbackfill: {red(deadlock)}")
        return not deadlock and all(map(succeeded, runs))

    def log_of(self, run, key, ti):
        """Return the log file of a task instance's present try, as in log_filename_template."""
        folder = log_folder(self.home, self.dag_id) / f"run_id={run.run_id}"
        folder /= f"task_id={key.task_id}"
        name = f"attempt={ti.try_number}.log"
        if key.index < 0:
            return folder / name
        mapped = folder / f"map_index={key.index}" / name
        if mapped.exists():
            return mapped
        # In a loop there are more folders; the last one has the index: pass=2, or again, pass=2.1.
        last = re.compile(rf".*={key.index}(\.\d+)?")
        found = [log for log in folder.rglob(name) if last.fullmatch(log.parent.name)]
        return max(found, key=lambda log: log.stat().st_mtime, default=mapped)


class OwnServers(Backfill):
    """A backfill with a scheduler and an api-server of its own, which end with it.

    workers: CeleryWorkers, or None if the scheduler's own executor runs the tasks.
    """

    def __init__(self, what, home, workers=None):
        # A team's Postgres and broker may be restarted, on which Airflow's servers end. Tasks in
        # workers outlive that; those of LocalExecutor end with the scheduler.
        named = os.environ.get("BROKER_URL") or home.with_name("db-url").exists()
        restarts = RESTARTS if workers and named else 0
        super().__init__(what, home, restarts=restarts)
        self.workers = workers
        # A free port of this machine, or where other machines reach it.
        self.address = (workers and workers.listen) or (HOST, free_port())
        host, port = self.address
        self.environment = {API_URL: f"http://{host}:{port}/execution/"}
        if workers:
            self.environment.update(workers.environment())
            self.worker_hint = workers.where()

    def check(self):
        """Raise UserError if a server has ended by itself."""
        self.servers.check()

    def run(self):
        """Run it; return whether every task succeeded or was skipped. Raises UserError."""
        with self.tree:
            try:
                self.repair()
                self.start_api_server()  # the slowest; meanwhile:
                backfill_id = self.create()
                # A paused DAG's backfill stays queued. Until the API answers, it has to: the first
                # task would find one that is still loading, and give up on it after five seconds.
                self.database.pause_dag(self.dag_id, True)
                self.start_scheduler()
                try:
                    self.wait_for_api_server()
                finally:
                    self.database.pause_dag(self.dag_id, False)
                outcome = self.watch(backfill_id)
                if not outcome[1]:
                    self.finish_callbacks(backfill_id)
                    self.finish_asset_runs()
                self.stop_executor(all(map(succeeded, outcome[0])))
            finally:
                # Leave nothing running and nothing open, whatever happened.
                ignore_signals()
                self.tree.end()
                self.close_backfills()
                if self.was_paused:
                    self.database.pause_dag(self.dag_id, True)
        return self.conclude(*outcome)

    def stop_executor(self, all_went_well):
        """Let the executor end its tasks, the last of which closes its log after its last report.

        Not for ever: one stop in some fourteen was seen to hang, and by now nothing but the end of
        a log can be lost. Workers take some seconds; where no log is to be shown, they are killed.
        """
        workers = [] if all_went_well or not self.workers else self.workers.names()
        self.servers.stop("scheduler", *workers, timeout=5)

    def repair(self):
        """Close what an earlier run left open when it was killed."""
        if self.tree.leftovers:
            print(f"   repaired: ended {self.tree.leftovers} processes of a killed backfill")
        for backfill_id in self.close_backfills():
            print(f"   repaired: closed backfill {backfill_id}, which had been cut short")
        beat = self.database.last_heartbeat()  # of somebody else's scheduler, each 5 s
        is_ours = not beat or self.began - beat > timedelta(seconds=10)
        if is_ours and self.what.reprocess_behavior != "none":
            for run_id in self.database.fail_runs(self.dag_id, *moments(self.what, self.dag)):
                print(f"   repaired: ended {run_id}, which nobody ran; its day runs now")

    def start_api_server(self):
        """Start an api-server with the execution API alone, and the Celery workers if there are."""
        host, port = self.address
        options = ["--apps", "execution", "--host", host, "--port", str(port), "--workers", "1"]
        self.servers.start("api-server", ["airflow", "api-server", *options])
        if self.workers:
            self.workers.start(self.servers, **self.environment)

    def start_scheduler(self):
        """Start the scheduler, whose executor runs the tasks, or hands them to the workers."""
        self.servers.start(
            "scheduler",
            # Its log server would listen to the whole network.
            ["airflow", "scheduler", "--skip-serve-logs"],
            **self.environment,
            # No DAG runs but the backfill's: else it adds today's own, which is then in the way.
            # In an exercise there is none today, and it adds those that assets ask for.
            AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE=str("RUN_AGAIN" in os.environ),
        )

    def prepare_for(self, runs, backfill_id, say):
        """Start the servers that something waits for; return their names, a set."""
        needed = self.database.what_is_asked_for(backfill_id)
        if any(ti.state == "deferred" for run in runs for ti in run.tasks.values()):
            needed.add("triggerer")
        for name in needed & ON_DEMAND.keys():
            if name not in self.servers:
                say()
                self.servers.start(
                    name,
                    ["airflow", name, *ON_DEMAND[name]],
                    **self.environment,
                    # With two, it puts off a callback whose file it is just reading, for 30 s.
                    AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES="1",
                )
        return needed

    def finish_callbacks(self, backfill_id):
        """Wait for the callbacks of the DAG and of missed deadlines, but not for ever."""
        options = ("has_on_success_callback", "has_on_failure_callback", "deadline")
        asked = self.prepare_for([], backfill_id, print) or "dag-processor" in self.servers
        if not asked and not any(map(self.dag.get, options)):
            return
        print(f"   waiting for callbacks, at most {CALLBACKS_LIMIT} s")
        ended, busy_at = datetime.now(timezone.utc), time.monotonic()

        def all_ran():
            nonlocal busy_at
            busy = self.prepare_for([], backfill_id, print)
            if "dag-processor" in self.servers:
                busy = busy or children_of(self.servers.process("dag-processor").pid)
            busy_at = time.monotonic() if busy else busy_at
            # Airflow stores the end of a DAG run first, and then its callback.
            beat = self.database.last_heartbeat()
            return beat and beat > ended and time.monotonic() - busy_at > IDLE

        try:
            wait(all_ran, "callbacks to end", self.check, CALLBACKS_LIMIT)
        except TimeoutError as error:
            print(f"   {error}, and waits no more; what they log is in {shown(self.logs)}")

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
    """A backfill that the servers of `make ui` run, where it can be seen as it goes.

    ui: the RunningUI.
    """

    def check(self):
        """Raise UserError if the servers have ended."""
        if not self.ui.is_alive():
            raise UserError("the Airflow UI, whose servers ran it, has ended")

    def run(self):
        """Run it; return whether every task succeeded or was skipped. Raises UserError."""
        with self.tree:
            print("   the servers of the Airflow UI run it, as soon as they are ready")
            wait_for_answer(self.ui.is_ready, "the Airflow UI to be ready", self.check)
            self.close_finished()
            try:
                backfill_id = self.create()
                self.show_page(self.runs(backfill_id))
                outcome = self.watch(backfill_id)
                self.finish_asset_runs()
            finally:
                # The servers end a task when its task instance has failed here.
                ignore_signals()
                self.close_backfills()
                if self.was_paused:
                    self.switch_off()
        return self.conclude(*outcome)

    def switch_off(self):
        """Switch the DAG off again, and end what its schedule has started meanwhile: a DAG run of
        one that is off stays as it is, and is in the way of the next backfill of its day."""
        self.database.pause_dag(self.dag_id, True)
        for run_id in self.database.fail_scheduled_runs(self.dag_id, self.began):
            print(f"   {self.dag_id} is switched off again, so {run_id} of its schedule was ended")

    def close_finished(self):
        """Close the DAG's backfills that have run to their end; UserError if one has not.

        The scheduler does so every 30 s, and until then Airflow refuses the next one.
        """
        for backfill_id in self.database.open_backfills(self.dag_id):
            if not all(map(finished, self.database.runs(backfill_id))):
                raise UserError(
                    f"Airflow is still running backfill {backfill_id} of {self.dag_id};"
                    " wait for its end, or cancel it in the Airflow UI"
                )
        self.close_backfills()

    def show_page(self, runs):
        """Say where the backfill can be watched, and switch the DAG on."""
        print(f"   to watch it: {self.ui.page_of(self.dag_id, runs)}")
        if self.was_paused:
            self.database.pause_dag(self.dag_id, False)
        if self.was_paused and "RUN_AGAIN" not in os.environ:  # an exercise has no schedule
            print(f"   {self.dag_id} is switched on until the end, which every run there needs; so")
            print("   Airflow also runs it by its schedule, and starts those of its runs that wait")


def pause_after(seconds):
    """Return how many seconds to wait between two looks at the runs, if the last took so many.

    A look at a year of days takes some tenths of a second; looks are to cost a tenth of a core at
    most. One that took a minute was suspended meanwhile (Ctrl-Z, `docker pause`).
    """
    return min(max(TICK, 9 * seconds), LONGEST_PAUSE)


def children_of(pid):
    """Return the living children of a process, as psutil.Process, without zombies."""
    found = []
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(pid).children():
            if child.status() != psutil.STATUS_ZOMBIE:
                found.append(child)
    return found
