"""The few rows of Airflow's metadata database that a backfill or a report reads and writes.

Airflow does not promise the names of tables and columns; docs/adr/0001 says why they are used, and
tests/test_backfill.py and tests/test_report.py compare what is read here with what Airflow's own
commands say. Each statement is one that SQLite and Postgres take. Backfills are Airflow 3's alone.
"""

import errno
import json
import os
import shutil
import sqlite3
import time
import zlib
from collections import namedtuple
from datetime import datetime, timezone

from sqlalchemy import create_engine, inspect, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import StaticPool

from airflow_sandbox.errors import UserError
from airflow_sandbox.paths import shown

URL = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"  # Airflow's own variable; bin/sandbox sets it
RESTART_TIME = 60  # seconds that a Postgres which does not answer gets to come back

# One DAG run of a backfill. logical_date: text, with the time if that is not midnight; or its
# partition. state: Airflow's DagRunState, or None if no run could be created, in which
# case obstacle says why. tasks: {Key: TI}.
Run = namedtuple("Run", "run_id logical_date state obstacle tasks")
# What tells the task instances of a DAG run apart. index: which one of a mapped task, or of a loop
# (Airflow 3.4), else -1. region: which of the mapped tasks that a loop repeats, as text.
Key = namedtuple("Key", "task_id index region", defaults=[-1, ""])
# A task instance. state: Airflow's TaskInstanceState, or None while the scheduler has not looked at
# it. try_number: the try that it is at, of max_tries; 0 before the first. start: of that, in UTC.
TI = namedtuple("TI", "state try_number max_tries start", defaults=[None])

# A task instance of some DAG run. logical_date: a datetime in UTC, or None if the run has none.
Instance = namedtuple("Instance", "run_id logical_date task_id state")

# The DAG run of a day. tasks: a list of Task in the order they started, those that did not start
# last; start and end are datetimes in UTC, or None for what has not happened (yet).
DayRun = namedtuple("DayRun", "run_id state tasks")
Task = namedtuple("Task", "task_id state start end")

UNFINISHED = "('queued', 'running')"
TASK_INSTANCES = (  # of the backfill :id
    "FROM task_instance ti JOIN dag_run r ON r.dag_id = ti.dag_id AND r.run_id = ti.run_id"
    " JOIN backfill_dag_run b ON b.dag_run_id = r.id WHERE b.backfill_id = :id"
)


def open_database(home):
    """Return the MetadataDB of an AIRFLOW_HOME: a Postgres, if Airflow's variable names one."""
    url = os.environ.get(URL, "")
    if url.startswith("postgresql"):
        # One of our own that has ended does not come back; one that DB_URL names may be restarted.
        named = home.with_name("db-url").exists()
        return MetadataDB("in Postgres", postgres(url), RESTART_TIME if named else 0)
    path = home / "airflow.db"
    if not path.exists():
        raise FileNotFoundError(errno.ENOENT, "there is no metadata database", shown(path))
    return MetadataDB(shown(path), sqlite(path))


def empty_database(home):
    """Replace the SQLite file of an AIRFLOW_HOME by the copy that was made when it was empty."""
    for old in home.glob("airflow.db*"):
        old.unlink()
    shutil.copy(home.with_name("empty.db"), home / "airflow.db")


def sqlite(path):
    """Return an SQLAlchemy engine for an SQLite file, which has to exist when it connects."""
    # Every statement is its own transaction (isolation_level=None), and waits at most half a minute
    # for the scheduler's to end. A creator, as there may be a ? in the path.
    uri = f"{path.as_uri()}?mode=rw"
    return create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(uri, uri=True, timeout=30, isolation_level=None),
        poolclass=StaticPool,  # one connection
    )


def postgres(url):
    """Return an SQLAlchemy engine for a Postgres."""
    options = {"connect_timeout": 5, "options": "-c timezone=UTC"}
    return create_engine(url, connect_args=options, pool_pre_ping=True)


class MetadataDB:
    """Airflow's metadata database.

    name: how to call it in a message. engine: of SQLAlchemy. patience: for how many seconds one
    that is restarted is waited for (each statement can be run twice). What fails is a UserError.
    """

    def __init__(self, name, engine, patience=0):
        self._name, self._engine, self._patience = name, engine, patience
        self._known = {}  # {table: the names of its columns}

    def _run(self, statement, parameters):
        """Run a statement; return its rows and how many it has changed."""
        deadline = time.monotonic() + self._patience
        while True:
            try:
                with self._engine.begin() as connection:
                    result = connection.execute(text(statement), parameters)
                    return result.fetchall() if result.returns_rows else [], result.rowcount
            except OperationalError as error:
                if time.monotonic() > deadline:
                    raise self._error(error) from error
            except DBAPIError as error:
                raise self._error(error) from error
            time.sleep(0.5)

    def _error(self, error):
        return UserError(f"the metadata database {self._name}: {str(error.orig).strip()}")

    def _rows(self, query, **parameters):
        return self._run(query, parameters)[0]

    def _column(self, query, **parameters):
        return [value for (value,) in self._rows(query, **parameters)]

    def _change(self, statement, **parameters):
        return self._run(statement, parameters)[1]

    def _time(self, time):
        """Return a datetime as a parameter: SQLite has text in UTC, which sorts like the times."""
        time = time.astimezone(timezone.utc)
        is_sqlite = self._engine.dialect.name == "sqlite"
        return time.strftime("%Y-%m-%d %H:%M:%S.%f") if is_sqlite else time

    def _columns(self, table):
        try:
            if table not in self._known:
                columns = inspect(self._engine).get_columns(table)
                self._known[table] = {column["name"] for column in columns}
            return self._known[table]
        except DBAPIError as error:
            raise self._error(error) from error

    def _key(self):
        """Return the column by which a task instance knows its DAG run; of 1.10 it is a date."""
        return "run_id" if "run_id" in self._columns("task_instance") else "execution_date"

    def _has_each_try(self):
        """Return whether task_instance has earlier tries, too, as in Airflow 3.4, in which
        working_set is true for those that count: of each task instance the last try."""
        return "working_set" in self._columns("task_instance")

    def _live(self, name):
        """Return a condition for the rows of task_instance, by its name in a query, that count."""
        return f"{name}.working_set" if self._has_each_try() else "true"

    def version(self):
        """Return the name and the version of the database."""
        if self._engine.dialect.name == "sqlite":
            return f"SQLite {sqlite3.sqlite_version}"
        (version,) = self._column("SHOW server_version")
        return f"PostgreSQL {version.partition(' ')[0]}"

    def tables(self):
        """Return the names of the tables of a Postgres, of all schemas but its own."""
        query = (
            "SELECT table_name FROM information_schema.tables"
            " WHERE table_schema NOT IN ('pg_catalog', 'information_schema')"
        )
        return set(self._column(query))

    def dag_ids(self):
        """Return the ids of the DAGs that can be run, sorted (Airflow 3)."""
        return self._column("SELECT dag_id FROM dag WHERE NOT is_stale ORDER BY dag_id")

    def all_dag_ids(self):
        """Return the ids of all DAGs, also of those that no file has any more (Airflow 3)."""
        return self._column("SELECT dag_id FROM dag ORDER BY dag_id")

    def import_errors(self):
        """Return a pair of path and text for each DAG file that could not be read (Airflow 3)."""
        return self._rows("SELECT filename, stacktrace FROM import_error")

    def dag_is_paused(self, dag_id):
        """Return the pause flag of a DAG; raises LookupError if the database has no such DAG."""
        query = "SELECT is_paused FROM dag WHERE dag_id = :id AND NOT is_stale"
        for is_paused in self._column(query, id=dag_id):
            return bool(is_paused)
        raise LookupError(dag_id)

    def pause_dag(self, dag_id, is_paused):
        """Set the pause flag of a DAG."""
        change = "UPDATE dag SET is_paused = :is_paused WHERE dag_id = :id"
        self._change(change, is_paused=is_paused, id=dag_id)

    def serialized_dag(self, dag_id):
        """Return a DAG as Airflow 3 has stored it, a dict."""
        query = (
            "SELECT data, data_compressed FROM serialized_dag WHERE dag_id = :id"
            " ORDER BY created_at DESC LIMIT 1"
        )
        ((data, packed),) = self._rows(query, id=dag_id)
        data = zlib.decompress(packed) if packed else data
        return (data if isinstance(data, dict) else json.loads(data))["dag"]

    def who_stopped(self, dag_id, backfill_id):
        """Return who keeps the DAG runs of a backfill from starting, or None if nobody does.

        "scheduler": after max_consecutive_failed_dag_runs. "file": which has lost the DAG. A user's
        name, or "somebody": who has switched off the DAG or paused the backfill.
        """
        if any(self._column("SELECT is_stale FROM dag WHERE dag_id = :id", id=dag_id)):
            return "file"
        query = (
            "SELECT is_paused FROM dag WHERE dag_id = :dag"
            " UNION SELECT is_paused FROM backfill WHERE id = :id"
        )
        if not any(self._column(query, dag=dag_id, id=backfill_id)):
            return None
        query = (
            "SELECT owner FROM log WHERE dag_id = :id"
            " AND (event LIKE '%pause%' OR event = 'patch_dag') ORDER BY id DESC LIMIT 1"
        )
        return next(iter(self._column(query, id=dag_id)), None) or "somebody"

    def open_backfills(self, dag_id):
        """Return the ids of the DAG's backfills that are not marked as completed."""
        query = "SELECT id FROM backfill WHERE dag_id = :id AND completed_at IS NULL ORDER BY id"
        return self._column(query, id=dag_id)

    def close_backfill(self, backfill_id):
        """Mark a backfill as completed, and as failed what of it has not run to its end.

        The scheduler would do the first half, but only every 30 s, and until then Airflow refuses
        the next backfill. A task that still runs ends, as its process asks the execution API.
        """
        self._fail_runs("backfill_id = :id", id=backfill_id)
        change = "UPDATE backfill SET completed_at = :now WHERE id = :id AND completed_at IS NULL"
        self._change(change, now=self._time(datetime.now(timezone.utc)), id=backfill_id)

    def release_cancelled(self, dag_id):
        """Let runs of the DAG's cancelled backfills start that somebody has cleared.

        Airflow leaves such a backfill paused, and so these runs queued, for ever: its issue 72337.
        """
        change = "UPDATE backfill SET is_paused = false WHERE dag_id = :id"
        self._change(change + " AND is_paused AND completed_at IS NOT NULL", id=dag_id)

    def _fail_runs(self, which, **parameters):
        """Mark as failed DAG runs that have not ended, with their tasks; return their ids."""
        runs = f"FROM dag_run WHERE {which} AND state IN {UNFINISHED}"
        found = self._column(f"SELECT run_id {runs}", **parameters)
        for statement in (
            "UPDATE task_instance SET state = 'failed', end_date = :now"
            " WHERE state IN ('scheduled', 'queued', 'running', 'restarting', 'deferred')"
            f" AND (dag_id, run_id) IN (SELECT dag_id, run_id {runs})",
            f"UPDATE dag_run SET state = 'failed', end_date = :now WHERE id IN (SELECT id {runs})",
        ):
            now = self._time(datetime.now(timezone.utc))
            self._change(statement, now=now, **parameters)
        return found

    def fail_runs(self, dag_id, first, last):
        """Mark as failed the DAG's runs between two datetimes that have not ended.

        No scheduler may be running. Returns the ids of these runs.
        """
        which = "dag_id = :id AND logical_date BETWEEN :first AND :last"
        times = {"first": self._time(first), "last": self._time(last)}
        return self._fail_runs(which, id=dag_id, **times)

    def fail_scheduled_runs(self, dag_id, since):
        """Mark as failed the DAG's runs that its schedule has started since then, a datetime in
        UTC, and that have not ended. Returns their ids."""
        which = "dag_id = :id AND run_type = 'scheduled' AND queued_at > :since"
        return self._fail_runs(which, id=dag_id, since=self._time(since))

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
        query = "SELECT count(*) FROM task_instance WHERE end_date >= :time"
        return self._column(query, time=self._time(time))[0]

    def has_web_user(self, name):
        """Airflow 1.10 and 2: return whether their UI knows a user of this name."""
        query = "SELECT 1 FROM ab_user WHERE username = :name"
        return bool(self._rows(query, name=name))

    def remove_web_user(self, name):
        """Airflow 1.10 and 2: remove the user of their UI that has this name, if any."""
        user = "(SELECT id FROM ab_user WHERE username = :name)"
        self._change(f"DELETE FROM ab_user_role WHERE user_id IN {user}", name=name)
        self._change("DELETE FROM ab_user WHERE username = :name", name=name)

    def runs(self, backfill_id):
        """Return the DAG runs of a backfill, in its order, as a list of Run.

        What an earlier run of a day had and its DAG has no more ("removed") is no part of it:
        Airflow 2 counts it nowhere.
        """
        tasks = {}
        # Airflow 3.4 has brought regions: what a mapped task or a loop makes many of.
        has_each_try = self._has_each_try()
        has_regions = "region_index" in self._columns("task_instance")
        key = "ti.region_index, cast(ti.region_id AS text)" if has_regions else "ti.map_index, ''"
        for run_id, task_id, index, region, state, try_number, retries, start in self._rows(
            f"SELECT ti.run_id, ti.task_id, {key}, ti.state, ti.try_number, ti.max_tries,"
            f" ti.start_date {TASK_INSTANCES} AND coalesce(ti.state, '') <> 'removed'"
            f" AND {self._live('ti')} ORDER BY ti.id",
            id=backfill_id,
        ):
            if has_each_try and state in (None, "up_for_retry"):
                try_number = max(try_number - 1, 0)  # its row is that of the next try already
            ti = TI(state, try_number, retries + 1, _utc(start))
            tasks.setdefault(run_id, {})[Key(task_id, index, region)] = ti
        # Airflow 3.2 has brought partitions.
        has_it = "partition_key" in self._columns("backfill_dag_run")
        partition = "b.partition_key" if has_it else "NULL"
        rows = self._rows(
            f"SELECT r.run_id, b.logical_date, {partition}, r.state, b.exception_reason"
            " FROM backfill_dag_run b LEFT JOIN dag_run r ON r.id = b.dag_run_id"
            " WHERE b.backfill_id = :id ORDER BY b.sort_ordinal",
            id=backfill_id,
        )
        return [
            Run(run_id, _day(time) if time else key, state, obstacle, tasks.get(run_id, {}))
            for run_id, time, key, state, obstacle in rows
        ]

    def what_is_asked_for(self, backfill_id):
        """Return the servers that callbacks wait for, a set of names: those of DAGs and of task
        instances that the scheduler failed, and those of the backfill's missed deadlines."""
        query = (
            "SELECT 'dag-processor' FROM callback WHERE type = 'dag_processor'"
            " UNION SELECT CASE WHEN c.trigger_id IS NULL THEN 'scheduler' ELSE 'triggerer' END"
            " FROM deadline d JOIN callback c ON c.id = d.callback_id"
            " JOIN dag_run r ON r.id = d.dagrun_id WHERE r.backfill_id = :id"
            " AND d.deadline_time < :now AND c.state NOT IN ('success', 'failed')"
        )
        now = self._time(datetime.now(timezone.utc))
        return set(self._column(query, id=backfill_id, now=now))

    def asset_runs_left(self, since):
        """Return how many DAG runs assets ask for that have not ended, of DAGs that are on: those
        queued since then, a datetime in UTC, and those that are still to be created."""
        query = (
            "SELECT (SELECT count(*) FROM dag_run WHERE run_type = 'asset_triggered'"
            f" AND queued_at > :since AND state IN {UNFINISHED}) + (SELECT count(DISTINCT dag_id)"
            " FROM asset_dag_run_queue JOIN dag ON dag_id = target_dag_id WHERE NOT is_paused)"
        )
        return self._column(query, since=self._time(since))[0]

    def successful_runs(self, dag_id):
        """Return how many runs of a DAG have succeeded."""
        query = "SELECT count(*) FROM dag_run WHERE dag_id = :id AND state = 'success'"
        return self._column(query, id=dag_id)[0]

    def versions(self, dag_id):
        """Return how many versions of a DAG Airflow 3 has stored."""
        return self._column("SELECT count(*) FROM dag_version WHERE dag_id = :id", id=dag_id)[0]

    def runs_of_paused_dags(self, since):
        """Return [(dag_id, run_id)] of what was queued since then, a datetime in UTC, in vain."""
        return self._rows(
            "SELECT r.dag_id, r.run_id FROM dag_run r JOIN dag d ON d.dag_id = r.dag_id"
            " WHERE r.state = 'queued' AND d.is_paused AND r.queued_at > :since",
            since=self._time(since),
        )

    def verdicts(self, dag_id, run_id, key, since):
        """Return what Airflow's audit log has of its own about a task instance since then, a
        datetime in UTC: that it was lost, for example, which its own log can't say."""
        return self._column(
            "SELECT extra FROM log WHERE dag_id = :dag_id AND run_id = :run_id AND task_id = :task"
            " AND map_index = :index AND dttm > :since AND event IN ('state mismatch',"
            " 'heartbeat timeout', 'stuck in queued tries exceeded') ORDER BY id",
            **{"dag_id": dag_id, "run_id": run_id, "since": self._time(since)},
            task=key.task_id,
            index=key.index,
        )

    def missing_pools(self, backfill_id):
        """Return [(task_id, pool)] of a backfill's tasks whose pool does not exist."""
        return self._rows(
            f"SELECT DISTINCT ti.task_id, ti.pool {TASK_INSTANCES}"
            " AND ti.pool NOT IN (SELECT pool FROM slot_pool) ORDER BY ti.task_id",
            id=backfill_id,
        )

    def instances(self, dag_id):
        """Return the task instances of a DAG that have started, as a list of Instance: those of the
        newest DAG run first, in the order they started (Airflow 3)."""
        rows = self._rows(
            "SELECT r.run_id, r.logical_date, ti.task_id, ti.state FROM task_instance ti"
            " JOIN dag_run r ON r.dag_id = ti.dag_id AND r.run_id = ti.run_id"
            f" WHERE r.dag_id = :id AND ti.start_date IS NOT NULL AND {self._live('ti')}"
            " ORDER BY r.start_date DESC, r.id DESC, ti.start_date, ti.task_id",
            id=dag_id,
        )
        return [Instance(run, _utc(date), task, state) for run, date, task, state in rows]

    def something_runs(self):
        """Return whether a task instance of any DAG is queued or running."""
        query = "SELECT 1 FROM task_instance WHERE state IN ('queued', 'running', 'restarting')"
        return bool(self._column(query + " LIMIT 1"))

    def last_heartbeat(self):
        """Return when a scheduler last said that it is alive, a datetime in UTC, or None."""
        query = (
            "SELECT max(latest_heartbeat) FROM job"
            " WHERE job_type = 'SchedulerJob' AND state = 'running'"
        )
        return _utc(self._column(query)[0])

    def has_xcom(self, dag_id, task_id):
        """Return whether a task of a DAG has returned a value in some DAG run (Airflow 3)."""
        query = "SELECT 1 FROM xcom WHERE dag_id = :id AND task_id = :task AND key = 'return_value'"
        return bool(self._rows(query, id=dag_id, task=task_id))

    def tasks_in_pool(self, dag_id, pool):
        """Return how many tasks of a DAG have run in a pool."""
        query = (
            "SELECT count(DISTINCT task_id) FROM task_instance WHERE dag_id = :id AND pool = :pool"
        )
        return self._column(query, id=dag_id, pool=pool)[0]

    def is_after(self, dag_id, task_id, earlier):
        """Return whether a task of a DAG has begun after the end of another one in all DAG runs."""
        key = self._key()
        query = (
            "SELECT 1 FROM task_instance a JOIN task_instance b"
            f" ON b.dag_id = a.dag_id AND b.{key} = a.{key}"
            " WHERE a.dag_id = :id AND a.task_id = :task AND b.task_id = :earlier"
            f" AND {self._live('a')} AND {self._live('b')}"
            " AND (a.start_date >= b.end_date) IS NOT TRUE"
        )
        return not self._rows(query, id=dag_id, task=task_id, earlier=earlier)

    def run_of_day(self, dag_id, day):
        """Return the DayRun of a DAG for a logical date (YYYY-MM-DD), the newest one, or None."""
        # Before Airflow 3 the logical date was called execution_date.
        date = "logical_date" if "logical_date" in self._columns("dag_run") else "execution_date"
        key = self._key()
        runs = self._rows(
            "SELECT id, run_id, state FROM dag_run"
            f" WHERE dag_id = :id AND substr(cast({date} AS text), 1, 10) = :day"
            " ORDER BY start_date IS NULL, start_date DESC",
            id=dag_id,
            day=day,
        )
        if not runs:
            return None
        key_of_row, *run = runs[0]
        tasks = self._rows(
            "SELECT ti.task_id, ti.state, ti.start_date, ti.end_date FROM task_instance ti"
            f" JOIN dag_run r ON r.dag_id = ti.dag_id AND r.{key} = ti.{key}"
            f" WHERE r.id = :id AND {self._live('ti')}"
            " ORDER BY ti.start_date IS NULL, ti.start_date",
            id=key_of_row,
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
