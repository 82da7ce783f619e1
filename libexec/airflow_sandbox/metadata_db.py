"""The few rows of Airflow's metadata database that a backfill or a report reads and writes.

This is the one place of the kit that leans on something Airflow does not promise: the names of
some tables and columns. The public way, the REST API, needs Airflow's whole web application,
which takes more time to start than the rest of the run together (see docs/adr/0001). Tests
(tests/test_backfill.py, tests/test_report.py) hold the statements here against a database made by
the locked Airflow, and what is read here against what Airflow's own CLI says; they fail when it
moves. Backfills are Airflow 3's alone; run_of_day() reads what Airflow 1.10 and 2 write, too.

The database is SQLite's or Postgres's. Each statement here is one that both take, but for the sign
of a parameter, which is SQLite's `?`.
"""

import errno
import os
import sqlite3
import time
from collections import namedtuple
from datetime import datetime, timezone

from airflow_sandbox.paths import shown

URL = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"  # Airflow's own variable; bin/sandbox sets it
RESTART_TIME = 60  # seconds that a Postgres which does not answer gets to come back

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


def postgres_url():
    """Return the URL of the metadata database if Airflow's variable names a Postgres, or None."""
    url = os.environ.get(URL, "")
    return url if url.startswith("postgresql") else None


def open_database(home):
    """Return the MetadataDB of an AIRFLOW_HOME: a Postgres, if Airflow's variable names one."""
    url = postgres_url()
    if url:
        # One of our own that has ended does not come back; one that DB_URL names may be restarted.
        named = home.with_name("db-url").exists()
        return MetadataDB(Postgres(url, RESTART_TIME if named else 0))
    return MetadataDB(SQLite(home / "airflow.db"))


def database_name(home):
    """Return how to call the metadata database of an AIRFLOW_HOME in a message."""
    return "in Postgres" if postgres_url() else shown(home / "airflow.db")


class DatabaseError(sqlite3.Error):
    """Postgres refused a statement, or can't be reached; the message is its own.

    So the errors of both databases can be caught as what Python's own module has.
    """


class SQLite:
    """A connection to the SQLite file at path, which has to exist.

    has_one_writer: whether a second writer has to wait for the first one's transaction to end.
    """

    has_one_writer = True

    def __init__(self, path):
        if not path.exists():
            raise FileNotFoundError(errno.ENOENT, "there is no metadata database", shown(path))
        # Every statement is its own transaction (isolation_level=None), and waits for the
        # scheduler's to end for at most half a minute.
        self._connection = sqlite3.connect(
            f"{path.as_uri()}?mode=rw", uri=True, timeout=30, isolation_level=None
        )

    def run(self, statement, parameters=()):
        """Run a statement; return its rows, a list of tuples, and how many it has changed."""
        # A time is held as text in UTC, so that the texts sort like the times.
        values = [
            value.strftime("%Y-%m-%d %H:%M:%S.%f") if isinstance(value, datetime) else value
            for value in parameters
        ]
        cursor = self._connection.execute(statement, values)
        return cursor.fetchall(), cursor.rowcount

    def columns(self, table):
        """Return the names of a table's columns."""
        return [row[1] for row in self.run(f"PRAGMA table_info({table})")[0]]

    def version(self):
        """Return the name and the version of the database."""
        return f"SQLite {sqlite3.sqlite_version}"


class Postgres:
    """A connection to the Postgres that a URL of SQLAlchemy names; as SQLite above.

    patience: for how many seconds one that is restarted is waited for. (Each statement here can be
    run twice.)
    """

    has_one_writer = False

    def __init__(self, url, patience=0):
        import psycopg  # only the environment for Postgres has it

        self._psycopg, self._connection, self._patience = psycopg, None, patience
        self._url = "postgresql" + url[url.index("://") :]
        try:
            self._connect()
        except psycopg.Error as error:
            raise DatabaseError(str(error).strip()) from error

    def _connect(self):
        """Connect, if there is no connection (any more)."""
        if self._connection is None:
            self._connection = self._psycopg.connect(
                self._url, autocommit=True, connect_timeout=5, options="-c timezone=UTC"
            )

    def run(self, statement, parameters=()):
        """Run a statement; return its rows, a list of tuples, and how many it has changed."""
        deadline = time.monotonic() + self._patience
        while True:
            try:
                self._connect()
                cursor = self._connection.execute(statement.replace("?", "%s"), parameters)
                return cursor.fetchall() if cursor.description else [], cursor.rowcount
            except self._psycopg.OperationalError as error:
                if time.monotonic() > deadline:
                    raise DatabaseError(str(error).strip()) from error
            except self._psycopg.Error as error:
                raise DatabaseError(str(error).strip()) from error
            self._connection = None
            time.sleep(0.5)

    def columns(self, table):
        """Return the names of a table's columns."""
        query = "SELECT column_name FROM information_schema.columns WHERE table_name = ?"
        return [name for (name,) in self.run(query, [table])[0]]

    def version(self):
        """Return the name and the version of the database."""
        ((version,),), _ = self.run("SHOW server_version")
        return f"PostgreSQL {version.partition(' ')[0]}"


class MetadataDB:
    """Airflow's metadata database; database: an SQLite or a Postgres."""

    def __init__(self, database):
        self._db = database
        self.has_one_writer, self.version = database.has_one_writer, database.version

    def _rows(self, query, *parameters):
        return self._db.run(query, parameters)[0]

    def _change(self, statement, *parameters):
        return self._db.run(statement, parameters)[1]

    def _key(self):
        """Return the column by which a task instance knows its DAG run; of 1.10 it is a date."""
        return "run_id" if "run_id" in self._db.columns("task_instance") else "execution_date"

    def dag_ids(self):
        """Return the ids of the DAGs that can be run, sorted (Airflow 3)."""
        rows = self._rows("SELECT dag_id FROM dag WHERE NOT is_stale ORDER BY dag_id")
        return [dag_id for (dag_id,) in rows]

    def import_errors(self):
        """Return a pair of path and text for each DAG file that could not be read (Airflow 3)."""
        return self._rows("SELECT filename, stacktrace FROM import_error")

    def forget_what_is_older_than(self, time):
        """Let the DAGs and the import errors that no file has had since a time, a datetime in UTC,
        be history (Airflow 3): they are not run any more, and their DAG runs stay."""
        self._change("UPDATE dag SET is_stale = true WHERE last_parsed_time < ?", time)
        self._change("DELETE FROM import_error WHERE timestamp < ?", time)

    def dag_is_paused(self, dag_id):
        """Return the pause flag of a DAG; raises LookupError if the database has no such DAG."""
        rows = self._rows("SELECT is_paused FROM dag WHERE dag_id = ? AND NOT is_stale", dag_id)
        if not rows:
            raise LookupError(dag_id)
        return bool(rows[0][0])

    def pause_dag(self, dag_id, is_paused):
        """Set the pause flag of a DAG."""
        self._change("UPDATE dag SET is_paused = ? WHERE dag_id = ?", is_paused, dag_id)

    def open_backfills(self, dag_id):
        """Return the ids of the DAG's backfills that are not marked as completed."""
        rows = self._rows(
            "SELECT id FROM backfill WHERE dag_id = ? AND completed_at IS NULL ORDER BY id", dag_id
        )
        return [backfill_id for (backfill_id,) in rows]

    def close_backfill(self, backfill_id):
        """Mark a backfill as completed, and as failed what of it has not run to its end.

        The scheduler would do the first half, but only every 30 s, and until then Airflow
        refuses the next backfill. Nothing of the backfill may be running any more.
        """
        now = datetime.now(timezone.utc)
        runs = f"FROM dag_run WHERE backfill_id = ? AND state IN {UNFINISHED}"
        for statement in (
            "UPDATE task_instance SET state = 'failed', end_date = ?"
            " WHERE state IN ('scheduled', 'queued', 'running', 'restarting', 'deferred')"
            f" AND (dag_id, run_id) IN (SELECT dag_id, run_id {runs})",
            f"UPDATE dag_run SET state = 'failed', end_date = ? WHERE id IN (SELECT id {runs})",
            "UPDATE backfill SET completed_at = ? WHERE id = ? AND completed_at IS NULL",
        ):
            self._change(statement, now, backfill_id)

    def fail_unfinished(self):
        """Airflow 1.10 and 2: mark as failed what a backfill that was cut short left unfinished.

        Their backfills wait for ever for tasks in these states, even if told to run them again.
        No backfill may be running. Returns how many task instances that were.
        """
        key = self._key()
        backfills = f"SELECT dag_id, {key} FROM dag_run WHERE run_id GLOB 'backfill_*'"
        failed = self._change(
            "UPDATE task_instance SET state = 'failed' WHERE state IN ('scheduled', 'queued',"
            " 'running', 'restarting', 'shutdown', 'up_for_retry', 'up_for_reschedule')"
            f" AND (dag_id, {key}) IN ({backfills})"
        )
        self._change(
            f"UPDATE dag_run SET state = 'failed' WHERE state IN {UNFINISHED}"
            f" AND (dag_id, {key}) IN ({backfills})"
        )
        return failed

    def ended_since(self, time):
        """Return how many task instances have ended since then, a datetime in UTC."""
        query = "SELECT count(*) FROM task_instance WHERE end_date >= ?"
        return self._rows(query, time)[0][0]

    def has_web_user(self, name):
        """Airflow 1.10 and 2: return whether their web pages know a user of this name."""
        query = "SELECT 1 FROM ab_user WHERE username = ?"
        return bool(self._rows(query, name))

    def remove_web_user(self, name):
        """Airflow 1.10 and 2: remove a user of their web pages, if there is one of this name."""
        user = "(SELECT id FROM ab_user WHERE username = ?)"
        self._change(f"DELETE FROM ab_user_role WHERE user_id IN {user}", name)
        self._change("DELETE FROM ab_user WHERE username = ?", name)

    def runs(self, backfill_id):
        """Return the DAG runs of a backfill, in its order, as a list of Run.

        What an earlier run of a day had and its DAG has no more ("removed") is no part of it:
        Airflow 2 counts it nowhere.
        """
        tasks = {}
        for run_id, task_id, map_index, state, try_number, retries in self._rows(
            "SELECT ti.run_id, ti.task_id, ti.map_index, ti.state, ti.try_number, ti.max_tries"
            f" {TASK_INSTANCES} AND coalesce(ti.state, '') <> 'removed' ORDER BY ti.id",
            backfill_id,
        ):
            ti = TI(state, try_number, retries + 1)
            tasks.setdefault(run_id, {})[task_id, map_index] = ti
        rows = self._rows(
            "SELECT r.run_id, b.logical_date, r.state, b.exception_reason"
            " FROM backfill_dag_run b LEFT JOIN dag_run r ON r.id = b.dag_run_id"
            " WHERE b.backfill_id = ? ORDER BY b.sort_ordinal",
            backfill_id,
        )
        return [
            Run(run_id, _day(logical_date), state, obstacle, tasks.get(run_id, {}))
            for run_id, logical_date, state, obstacle in rows
        ]

    def missing_pools(self, backfill_id):
        """Return [(task_id, pool)] of a backfill's tasks whose pool does not exist."""
        return self._rows(
            f"SELECT DISTINCT ti.task_id, ti.pool {TASK_INSTANCES}"
            " AND ti.pool NOT IN (SELECT pool FROM slot_pool) ORDER BY ti.task_id",
            backfill_id,
        )

    def something_runs(self):
        """Return whether a task instance of any DAG is queued or running."""
        query = "SELECT 1 FROM task_instance WHERE state IN ('queued', 'running', 'restarting')"
        return bool(self._rows(query + " LIMIT 1"))

    def last_heartbeat(self):
        """Return when the scheduler last said that it is alive, a datetime in UTC, or None."""
        query = "SELECT max(latest_heartbeat) FROM job WHERE job_type = 'SchedulerJob'"
        return _utc(self._rows(query)[0][0])

    def run_of_day(self, dag_id, day):
        """Return the DayRun of a DAG for a logical date (YYYY-MM-DD), the newest one, or None."""
        # Before Airflow 3 the logical date was called execution_date.
        date = "logical_date" if "logical_date" in self._db.columns("dag_run") else "execution_date"
        key = self._key()
        runs = self._rows(
            "SELECT id, run_id, state FROM dag_run"
            f" WHERE dag_id = ? AND substr(cast({date} AS text), 1, 10) = ?"
            " ORDER BY start_date IS NULL, start_date DESC",
            dag_id,
            day,
        )
        if not runs:
            return None
        key_of_row, *run = runs[0]
        tasks = self._rows(
            "SELECT ti.task_id, ti.state, ti.start_date, ti.end_date FROM task_instance ti"
            f" JOIN dag_run r ON r.dag_id = ti.dag_id AND r.{key} = ti.{key}"
            " WHERE r.id = ? ORDER BY ti.start_date IS NULL, ti.start_date",
            key_of_row,
        )
        return DayRun(*run, [Task(name, state, _utc(a), _utc(b)) for name, state, a, b in tasks])


def _day(time):
    """Return a logical date, as the database gave it, without a time of day that says nothing."""
    text = str(_utc(time))
    return text[:10] if text[11:19] == "00:00:00" else text[:16].replace(" ", "T")


def _utc(time):
    """Return a time that the database gave, SQLite as text in UTC without saying so, in UTC."""
    if isinstance(time, str):
        return datetime.fromisoformat(time).replace(tzinfo=timezone.utc)
    return time and time.astimezone(timezone.utc)
