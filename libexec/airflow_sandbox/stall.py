"""A backfill in which nothing happens: what it waits for, and whether that can ever come."""

import re
import time
from collections import namedtuple
from datetime import datetime, timezone

from airflow_sandbox.commands import sandbox_command
from airflow_sandbox.logs import tail
from airflow_sandbox.paths import shown
from airflow_sandbox.progress import finished, name_of

QUIET = 5  # seconds without a change after which it says what it waits for
DEADLOCK = 15  # seconds without a change before what is left may be called deadlocked
TALK = 20  # seconds without a change after which it says what runs; then three times as long, ...
BATCH = 3  # so many task instances are asked about at once: each takes Airflow some seconds
# What waits for a time, or for something outside of Airflow, and is never deadlocked.
COMING = {"deferred", "up_for_retry", "up_for_reschedule", "awaiting_input"}
MET = "dependencies are all met"  # so says `airflow tasks failed-deps`
UNMET = re.compile(r"Task instance dependencies not met:\n((?:.+: .+\n)+)")
AT = re.compile(r" at (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\S*$")
# Dependencies that are only unmet because of another task instance, or because the scheduler has
# not come to this one yet.
FOLLOWS, NOT_YET = {"Trigger Rule"}, {"Dagrun Running", "Task Instance State"}
PAUSED = "Dag Not Paused"  # Backfill.stopped() says who did it
NEVER = "nothing that is left can ever run"


class Reason(namedtuple("Reason", "text is_cause is_final")):
    """Why a task instance does not run.

    is_cause: whether it does not only follow from another one's. is_final: whether it can't change
    while nothing else does.
    """


class Stall:
    """Looks at a backfill's runs again and again, and speaks up when nothing happens in it.

    backfill: a Backfill. say: a function that prints a text.
    """

    def __init__(self, backfill, say):
        self.backfill, self.say = backfill, say
        self.dag_id, self.database = backfill.dag_id, backfill.database
        self.began = datetime.now(timezone.utc)
        self.last, self.since, self.talk = None, 0, TALK
        self.questions = []  # [(run, key, Popen, log file)] that were not answered yet
        self.reasons = {}  # {(run id, key): (run, Reason)} since the last change
        self.retrying = set()  # {(run_id, key, TI)} that has been said
        self.tried = {}  # {(run_id, key): how many tries there were before this backfill}

    def look(self, runs):
        """Take note of the runs, a list of metadata_db.Run; return in words why nothing that is
        left can ever run, or None.

        Prints what they wait for after each change, and what runs, again and again.
        """
        self.show_retries(runs)
        if runs != self.last:
            self.last, self.since, self.talk = runs, time.monotonic(), TALK
            self.end_questions()
        quiet = time.monotonic() - self.since
        if quiet > self.talk:
            self.show_running(runs)
            self.talk *= 3
        if quiet < QUIET or all(map(finished, runs)):
            return None
        runs_still = self.database.something_runs()
        if runs_still and quiet < TALK:
            return None
        waiting = [
            (run, key, ti.state)
            for run in runs
            if not finished(run)
            for key, ti in run.tasks.items()
            # Beside what runs, only what does not wait for that.
            if ti.state in COMING | ({"scheduled"} if runs_still else {None, "scheduled"})
        ]
        self.collect()
        # Until a cause is found, not only what follows from one.
        if not self.questions and not self.causes():
            unasked = [each for each in waiting if (each[0].run_id, each[1]) not in self.reasons]
            self.query(sorted(unasked, key=lambda each: each[2] not in COMING)[:BATCH])
        coming = runs_still or any(state in COMING for _, _, state in waiting)
        if quiet > DEADLOCK and not coming and self.all_final() and self.scheduler_lives():
            run, key, reason = self.causes()[0]
            return f"{NEVER}: {name_of(key)} of {run.logical_date}: {reason.text}"
        return None

    def show_running(self, runs):
        """Say what runs, since when, and how its log ends; or who does not take what is queued."""
        all_tasks = [(run, *each) for run in runs for each in run.tasks.items()]
        running = [each for each in all_tasks if each[2].state == "running"]
        for run, key, ti in running[:1]:
            log = self.backfill.log_of(run, key, ti)
            last = tail(log, 1).lstrip(" |") if log.exists() else ""
            more = f" (and {len(running) - 1} more)" if running[1:] else ""
            self.say(
                f"   {name_of(key)} of {run.logical_date}{more} has been running since"
                f" {ti.start:%H:%M:%S} (UTC); {shown(log)} ends: {last}"
            )
        queued = sum(ti.state == "queued" for _, _, ti in all_tasks)
        if queued and not running:
            hint = self.backfill.worker_hint
            self.say(f"   {queued} queued for {TALK} s: no worker has taken one. {hint}")
        for dag_id, run_id in self.database.runs_of_paused_dags(self.began):
            if dag_id != self.dag_id:
                on = sandbox_command("airflow", "dags", "unpause", "-y", dag_id)
                self.say(
                    f"   {run_id} of {dag_id} stays queued, as {dag_id} is switched off;"
                    f" to switch it on: {on}"
                )
        if self.talk > TALK:
            for run, key, reason in self.causes():
                self.say_reason(run, key, reason)

    def show_retries(self, runs):
        """Say of each task that has failed and will be tried again that it has and will."""
        for run in runs:
            for key, ti in run.tasks.items():
                # Airflow goes on counting where earlier runs of the day have ended.
                before = ti.try_number - (ti.state is not None)
                before = self.tried.setdefault((run.run_id, key), before)
                if ti.state == "up_for_retry" and (run.run_id, key, ti) not in self.retrying:
                    self.retrying.add((run.run_id, key, ti))
                    log = self.backfill.log_of(run, key, ti)
                    self.say(
                        f"   {name_of(key)} of {run.logical_date} failed (try"
                        f" {ti.try_number - before} of {ti.max_tries - before}) and will be tried"
                        f" again; its log: {shown(log)}\n" + (tail(log, 5) if log.exists() else "")
                    )

    def query(self, waiting):
        """Start to query Airflow why these do not run: a list of (run, key, state)."""
        for number, (run, key, state) in enumerate(waiting):
            known = {
                "deferred": "it is deferred, until its trigger fires",
                "awaiting_input": f"somebody has to answer it; {self.backfill.answer_hint}",
            }
            if state in known:
                self.record(run, key, Reason(known[state], True, False))
                continue
            command = ["airflow", "tasks", "failed-deps", self.dag_id, key.task_id, run.run_id]
            command += ["--map-index", str(key.index)] if key.index >= 0 else []
            process, log = self.backfill.servers.run(f"failed-deps-{number}", command, quiet=True)
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
        self.reasons[run.run_id, key] = (run, reason)
        if reason.is_cause:
            self.say_reason(run, key, reason)

    def say_reason(self, run, key, reason):
        """Print the reason of a task instance."""
        self.say(f"   waiting for {name_of(key)} of {run.logical_date}: {reason.text}")

    def causes(self):
        """Return [(run, key, Reason)] of those that don't follow from others."""
        found = [(run, key, reason) for (_, key), (run, reason) in self.reasons.items()]
        return [each for each in found if each[2].is_cause]

    def all_final(self):
        """Return whether Airflow has named causes, and none of them can change by itself."""
        causes = self.causes()
        return (
            not self.questions and bool(causes) and all(reason.is_final for _, _, reason in causes)
        )

    def scheduler_lives(self):
        """Return whether the scheduler has looked at it all since the last change."""
        beat = self.database.last_heartbeat()
        return beat is not None and time.time() - beat.timestamp() < DEADLOCK - QUIET

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
