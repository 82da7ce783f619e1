"""A backfill in which nothing happens: what it waits for, and whether that can ever come."""

import re
import time
from collections import namedtuple

from airflow_sandbox.logs import tail
from airflow_sandbox.paths import shown
from airflow_sandbox.progress import finished, name_of

QUIET = 5  # seconds without a change after which it says what it waits for
UNTAKEN = 15  # the same for task instances that are queued; to start one takes a worker some 2
DEADLOCK = 15  # seconds without a change before what is left may be called deadlocked
BATCH = 3  # so many task instances are asked about at once: each takes Airflow some seconds
# What waits for a time, or for something outside of Airflow, and is never deadlocked.
COMING = {"deferred", "up_for_retry", "up_for_reschedule", "awaiting_input"}
MET = "dependencies are all met"  # so says `airflow tasks failed-deps`
UNMET = re.compile(r"Task instance dependencies not met:\n((?:.+: .+\n)+)")
AT = re.compile(r" at (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\S*$")
# Dependencies that are only unmet because of another task instance, or because the scheduler has
# not come to this one yet.
FOLLOWS, NOT_YET = {"Trigger Rule"}, {"Dagrun Running", "Task Instance State"}
PAUSED = "Dag Not Paused"  # somebody may switch the DAG on again


class Reason(namedtuple("Reason", "text is_cause is_final")):
    """Why a task instance does not run.

    is_cause: whether it does not only follow from another one's. is_final: whether it can't change
    while nothing else does.
    """


class Stall:
    """Looks at a backfill's runs again and again, and speaks up when nothing happens in it.

    dag_id: of the backfill. database: a MetadataDB. servers: Servers, to run Airflow's command that
    knows why a task does not run. log_of: a function that returns a task instance's log file.
    say: a function that prints a text. worker_hint: where the workers are that take queued tasks,
    as a text.
    """

    def __init__(self, dag_id, database, servers, log_of, say, worker_hint):
        self.dag_id, self.database, self.servers = dag_id, database, servers
        self.log_of, self.say, self.worker_hint = log_of, say, worker_hint
        self.said_queued = False
        self.last, self.since = None, 0
        self.questions = []  # [(run, key, Popen, log file)] that were not answered yet
        self.reasons = {}  # {(logical date, key): Reason} since the last change
        self.retrying = {}  # {(run_id, key, TI): (when it was seen, its log, what to say)}
        self.tried = {}  # {(run_id, key): how many tries there were before this backfill}

    def look(self, runs):
        """Take note of the runs, a list of metadata_db.Run; return whether they are deadlocked.

        Prints what they wait for, once after each change.
        """
        self.show_retries(runs)
        if runs != self.last:
            self.last, self.since = runs, time.monotonic()
            self.said_queued = False
            self.end_questions()
        quiet = time.monotonic() - self.since
        if quiet > UNTAKEN and not self.said_queued:
            self.show_queued(runs)
        if quiet < QUIET or all(map(finished, runs)) or self.database.something_runs():
            return False
        waiting = [
            (run, key, ti.state)
            for run in runs
            if not finished(run)
            for key, ti in run.tasks.items()
            if ti.state in COMING | {None, "scheduled"}
        ]
        self.collect()
        # Until a cause is found, not only what follows from one.
        if not self.questions and not self.causes():
            unasked = [
                each for each in waiting if (each[0].logical_date, each[1]) not in self.reasons
            ]
            self.query(sorted(unasked, key=lambda each: each[2] not in COMING)[:BATCH])
        coming = any(state in COMING for _, _, state in waiting)
        return quiet > DEADLOCK and not coming and self.all_final() and self.scheduler_lives()

    def show_retries(self, runs):
        """Say of each task that has failed and will be tried again that it has and will."""
        now = time.monotonic()
        for run in runs:
            for key, ti in run.tasks.items():
                # Airflow goes on counting where earlier runs of the day have ended.
                before = ti.try_number - (ti.state is not None)
                before = self.tried.setdefault((run.run_id, key), before)
                if ti.state == "up_for_retry" and (run.run_id, key, ti) not in self.retrying:
                    log = self.log_of(run, key, ti)
                    tries = f"try {ti.try_number - before} of {ti.max_tries - before}"
                    text = f"   {name_of(key)} of {run.logical_date} failed ({tries}) and will be"
                    text += f" tried again; its log: {shown(log)}\n"
                    self.retrying[run.run_id, key, ti] = now, log, text
        # A task writes down why it failed a moment after its state has changed.
        for try_, (since, log, text) in self.retrying.items():
            if text and (now - since > 1 or all(map(finished, runs))):
                self.say(text + (tail(log, 5) if log.exists() else ""))
                self.retrying[try_] = 0, log, ""

    def show_queued(self, runs):
        """Say that task instances are queued and none runs, if it is so."""
        states = [ti.state for run in runs for ti in run.tasks.values()]
        if "queued" in states and "running" not in states:
            self.said_queued = True
            self.say(
                f"   {states.count('queued')} queued for {UNTAKEN} s: no worker has taken one."
                f" {self.worker_hint}"
            )

    def query(self, waiting):
        """Start to query Airflow why these do not run: a list of (run, key, state)."""
        for number, (run, key, state) in enumerate(waiting):
            task_id, map_index = key
            if state == "deferred":
                self.record(
                    run, key, Reason("it is deferred, until its trigger fires", True, False)
                )
                continue
            command = ["airflow", "tasks", "failed-deps", self.dag_id, task_id, run.run_id]
            command += ["--map-index", str(map_index)] if map_index >= 0 else []
            process, log = self.servers.run(f"failed-deps-{number}", command, quiet=True)
            self.questions.append((run, key, process, log))

    def collect(self):
        """Take the answers when all of them have come."""
        if all(process.poll() is not None for _, _, process, _ in self.questions):
            for run, key, _, log in self.questions:
                answer = log.read_text(errors="replace") + "\n"
                reason = reason_in(answer, run.tasks[key].state)
                self.record(run, key, reason or Reason(f"see {shown(log)}", True, False))
            self.questions = []

    def record(self, run, key, reason):
        """Keep the reason of a task instance, and print it if it is a cause."""
        self.reasons[run.logical_date, key] = reason
        if reason.is_cause:
            self.say(f"   waiting for {name_of(key)} of {run.logical_date}: {reason.text}")

    def causes(self):
        """Return [((logical date, key), Reason)] of those that don't follow from others."""
        return [(what, reason) for what, reason in self.reasons.items() if reason.is_cause]

    def all_final(self):
        """Return whether Airflow has named causes, and none of them can change by itself."""
        causes = self.causes()
        return not self.questions and bool(causes) and all(reason.is_final for _, reason in causes)

    def scheduler_lives(self):
        """Return whether the scheduler has looked at it all since the last change."""
        beat = self.database.last_heartbeat()
        return beat is not None and time.time() - beat.timestamp() < DEADLOCK - QUIET

    def deadlock(self):
        """Return in words why nothing that is left can run."""
        (day, key), reason = self.causes()[0]
        return f"nothing that is left can ever run: {name_of(key)} of {day}: {reason.text}"

    def end_questions(self):
        """Forget what was asked before the last change."""
        for _, _, process, _ in self.questions:
            process.kill()
        self.questions, self.reasons = [], {}


def reason_in(answer, state):
    """Return the Reason in an answer of failed-deps about a task instance in that state.

    None if there is none in it, because the command failed.
    """
    found = UNMET.search(answer)
    unmet = [line.partition(": ")[::2] for line in found[1].splitlines()] if found else []
    for name, text in unmet:
        if at := AT.search(text.rstrip(".")):
            text = f"it will be tried again at {at[1].replace('T', ' ')} (UTC)"
            if state == "up_for_retry":
                text += ", by the task's retry_delay=, which is five minutes unless set"
        if name not in FOLLOWS | NOT_YET:
            return Reason(text, True, name != PAUSED)
    if state in COMING:
        return Reason(f"it is {state}, and Airflow takes it up again by itself", True, False)
    for name, text in unmet:
        if name in FOLLOWS:
            return Reason(text, False, True)
    if unmet or MET in answer:
        return Reason("the scheduler has not taken it up yet", True, False)
    return None
