"""The few rows of Airflow's metadata database that a backfill or a report reads and writes.

This is the one place of the kit that leans on something Airflow does not promise: the names of
some tables and columns. The public way, the REST API, needs Airflow's whole web application,
which takes more time to start than the rest of the run together (see docs/adr/0001). Tests
(tests/test_backfill.py, tests/test_report.py) hold the statements here against a database made by
the locked Airflow, and what is read here against what Airflow's own CLI says; they fail when it
moves. Backfills are Airflow 3's alone; run_of_day() reads what Airflow 1.10 and 2 write, too.
"""

import sqlite3
from collections import namedtuple
from datetime import datetime, timezone

# One DAG run of a backfill. logical_date: text, with the time if that is not midnight. state:
# Airflow's DagRunState, or None if no run could be created, in which case obstacle says why.
# tasks: {(task_id, map_index): TI}, where map_index is -1 for a task that is not mapped.
Run = namedtuple("Run", "run_id logical_date state obstacle tasks")
# A task instance. state: Airflow's TaskInstanceState, or None while the scheduler has not looked at
# it. try_number: the try that it is at, of max_tries; 0 before the first.
TI = namedtuple("TI", "state try_number max_tries")

# The DAG run of a day. tasks: a list of Task in the order they started, those that did not start
# last; start and end are datetimes in UTC, or None for what has not happened (yet).
DayRun = namedtuple("DayRun", "run_id state tasks")
Task = namedtuple("Task", "task_id state start end")

UNFINISHED = "('queued', 'running')"
TASK_INSTANCES = (  # of the backfill ?
    "FROM task_instance ti JOIN dag_run r ON r.dag_id = ti.dag_id AND r.run_id = ti.run_id"
    " JOIN backfill_dag_run b ON b.dag_run_id = r.id WHERE b.backfill_id = ?"
)


class MetadataDB:
    """A connection to the SQLite file at path, which has to exist."""

    def __init__(self, path):
        # Every statement is its own transaction (isolation_level=None), and waits for the
        # scheduler's to end for at most half a minute.
        self._db = sqlite3.connect(
            f"{path.as_uri()}?mode=rw", uri=True, timeout=30, isolation_level=None
        )

    def dag_ids(self):
        """Return the ids of the DAGs that can be run, sorted (Airflow 3)."""
        rows = self._db.execute("SELECT dag_id FROM dag WHERE NOT is_stale ORDER BY dag_id")
        return [dag_id for (dag_id,) in rows]

    def import_errors(self):
        """Return a pair of path and text for each DAG file that could not be read (Airflow 3)."""
        return list(self._db.execute("SELECT filename, stacktrace FROM import_error"))

    def forget_what_is_older_than(self, time):
        """Let the DAGs and the import errors that no file has had since a time, a datetime in UTC,
        be history (Airflow 3): they are not run any more, and their DAG runs stay."""
        self._db.execute("UPDATE dag SET is_stale = 1 WHERE last_parsed_time < ?", [_text(time)])
        self._db.execute("DELETE FROM import_error WHERE timestamp < ?", [_text(time)])

    def dag_is_paused(self, dag_id):
        """Return the pause flag of a DAG; raises LookupError if the database has no such DAG."""
        row = self._db.execute(
            "SELECT is_paused FROM dag WHERE dag_id = ? AND NOT is_stale", [dag_id]
        ).fetchone()
        if row is None:
            raise LookupError(dag_id)
        return bool(row[0])

    def pause_dag(self, dag_id, is_paused):
        """Set the pause flag of a DAG."""
        self._db.execute("UPDATE dag SET is_paused = ? WHERE dag_id = ?", [is_paused, dag_id])

    def open_backfills(self, dag_id):
        """Return the ids of the DAG's backfills that are not marked as completed."""
        rows = self._db.execute(
            "SELECT id FROM backfill WHERE dag_id = ? AND completed_at IS NULL", [dag_id]
        )
        return [backfill_id for (backfill_id,) in rows]

    def close_backfill(self, backfill_id):
        """Mark a backfill as completed, and as failed what of it has not run to its end.

        The scheduler would do the first half, but only every 30 s, and until then Airflow
        refuses the next backfill. Nothing of the backfill may be running any more.
        """
        now = _text(datetime.now(timezone.utc))
        runs = f"FROM dag_run WHERE backfill_id = ? AND state IN {UNFINISHED}"
        for statement in (
            "UPDATE task_instance SET state = 'failed', end_date = ?"
            " WHERE state IN ('scheduled', 'queued', 'running', 'restarting', 'deferred')"
            f" AND (dag_id, run_id) IN (SELECT dag_id, run_id {runs})",
            f"UPDATE dag_run SET state = 'failed', end_date = ? WHERE id IN (SELECT id {runs})",
            "UPDATE backfill SET completed_at = ? WHERE id = ? AND completed_at IS NULL",
        ):
            self._db.execute(statement, [now, backfill_id])

    def fail_unfinished(self):
        """Airflow 1.10 and 2: mark as failed what a backfill that was cut short left unfinished.

        Their backfills wait for ever for tasks in these states, even if told to run them again.
        No backfill may be running. Returns how many task instances that were.
        """
        columns = [row[1] for row in self._db.execute("PRAGMA table_info(task_instance)")]
        key = "run_id" if "run_id" in columns else "execution_date"  # 2 or 1.10
        backfills = f"SELECT dag_id, {key} FROM dag_run WHERE run_id GLOB 'backfill_*'"
        failed = self._db.execute(
            "UPDATE task_instance SET state = 'failed' WHERE state IN ('scheduled', 'queued',"
            " 'running', 'restarting', 'shutdown', 'up_for_retry', 'up_for_reschedule')"
            f" AND (dag_id, {key}) IN ({backfills})"
        )
        self._db.execute(
            f"UPDATE dag_run SET state = 'failed' WHERE state IN {UNFINISHED}"
            f" AND (dag_id, {key}) IN ({backfills})"
        )
        return failed.rowcount

    def ended_since(self, time):
        """Return how many task instances have ended since then, a datetime in UTC."""
        query = "SELECT count(*) FROM task_instance WHERE end_date >= ?"
        (count,) = self._db.execute(query, [_text(time)]).fetchone()
        return count

    def has_web_user(self, name):
        """Airflow 1.10 and 2: return whether their web pages know a user of this name."""
        query = "SELECT 1 FROM ab_user WHERE username = ?"
        return self._db.execute(query, [name]).fetchone() is not None

    def remove_web_user(self, name):
        """Airflow 1.10 and 2: remove a user of their web pages, if there is one of this name."""
        user = "(SELECT id FROM ab_user WHERE username = ?)"
        self._db.execute(f"DELETE FROM ab_user_role WHERE user_id IN {user}", [name])
        self._db.execute("DELETE FROM ab_user WHERE username = ?", [name])

    def runs(self, backfill_id):
        """Return the DAG runs of a backfill, in its order, as a list of Run.

        What an earlier run of a day had and its DAG has no more ("removed") is no part of it:
        Airflow 2 counts it nowhere.
        """
        tasks = {}
        for run_id, task_id, map_index, state, try_number, retries in self._db.execute(
            "SELECT ti.run_id, ti.task_id, ti.map_index, ti.state, ti.try_number, ti.max_tries"
            f" {TASK_INSTANCES} AND ti.state IS NOT 'removed' ORDER BY ti.id",
            [backfill_id],
        ):
            ti = TI(state, try_number, retries + 1)
            tasks.setdefault(run_id, {})[task_id, map_index] = ti
        rows = self._db.execute(
            "SELECT r.run_id, b.logical_date, r.state, b.exception_reason"
            " FROM backfill_dag_run b LEFT JOIN dag_run r ON r.id = b.dag_run_id"
            " WHERE b.backfill_id = ? ORDER BY b.sort_ordinal",
            [backfill_id],
        )
        return [
            Run(run_id, _day(logical_date), state, obstacle, tasks.get(run_id, {}))
            for run_id, logical_date, state, obstacle in rows
        ]

    def missing_pools(self, backfill_id):
        """Return [(task_id, pool)] of a backfill's tasks whose pool does not exist."""
        return list(
            self._db.execute(
                f"SELECT DISTINCT ti.task_id, ti.pool {TASK_INSTANCES}"
                " AND ti.pool NOT IN (SELECT pool FROM slot_pool) ORDER BY ti.task_id",
                [backfill_id],
            )
        )

    def something_runs(self):
        """Return whether a task instance of any DAG is queued or running."""
        query = "SELECT 1 FROM task_instance WHERE state IN ('queued', 'running', 'restarting')"
        return self._db.execute(query).fetchone() is not None

    def last_heartbeat(self):
        """Return when the scheduler last said that it is alive, a datetime in UTC, or None."""
        query = "SELECT max(latest_heartbeat) FROM job WHERE job_type = 'SchedulerJob'"
        (time,) = self._db.execute(query).fetchone()
        return _utc(time)

    def run_of_day(self, dag_id, day):
        """Return the DayRun of a DAG for a logical date (YYYY-MM-DD), the newest one, or None."""

        def columns(table):
            return [row[1] for row in self._db.execute(f"PRAGMA table_info({table})")]

        # Before Airflow 3 the logical date was called execution_date; before 2 it was also what
        # a task instance knew its DAG run by.
        date = "logical_date" if "logical_date" in columns("dag_run") else "execution_date"
        key = "run_id" if "run_id" in columns("task_instance") else "execution_date"
        run = self._db.execute(
            f"SELECT id, run_id, state FROM dag_run WHERE dag_id = ? AND substr({date}, 1, 10) = ?"
            " ORDER BY start_date DESC",
            [dag_id, day],
        ).fetchone()
        if run is None:
            return None
        tasks = self._db.execute(
            "SELECT ti.task_id, ti.state, ti.start_date, ti.end_date FROM task_instance ti"
            f" JOIN dag_run r ON r.dag_id = ti.dag_id AND r.{key} = ti.{key}"
            " WHERE r.id = ? ORDER BY ti.start_date IS NULL, ti.start_date",
            [run[0]],
        )
        return DayRun(
            *run[1:], [Task(name, state, _utc(a), _utc(b)) for name, state, a, b in tasks]
        )


def _text(time):
    """Return a datetime in UTC as the database holds it; the texts sort like the times."""
    return time.strftime("%Y-%m-%d %H:%M:%S.%f")


def _day(text):
    """Return a logical date as the database holds it, without a time of day that says nothing."""
    return text[:10] if text[11:19] == "00:00:00" else text[:16].replace(" ", "T")


def _utc(text):
    """Return a time as the database holds it, text in UTC without saying so, as a datetime."""
    return text and datetime.fromisoformat(text).replace(tzinfo=timezone.utc)
