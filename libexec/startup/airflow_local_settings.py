"""Run by every command of Airflow's as it starts (documented: "Configuring local settings")."""

import contextlib
import faulthandler
import os
import signal
import sys
import threading
import warnings
from datetime import datetime, timezone

from sqlalchemy import event
from sqlalchemy.engine import Engine

# Airflow switches on all pending deprecations of its own modules. This one, of Python 3.14, is of
# Airflow's own command line, is for its authors, and would stand two lines long above each answer.
warnings.filterwarnings(
    "ignore", message="FileType is deprecated", category=PendingDeprecationWarning
)


# Airflow 3 gives its tasks a broken address of the database, and then fails to load in each process
# that a task starts: by multiprocessing (spawn, forkserver), or in a script. These override it.
if os.environ.get("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN") == "airflow-db-not-allowed:///":
    SQL_ALCHEMY_CONN = "sqlite://"  # empty, in memory
    SQL_ALCHEMY_CONN_ASYNC = "sqlite+aiosqlite://"


# The execution API has a version for the tasks of each older Airflow, and makes all of them at its
# first request. Here all tasks are of this Airflow, so the newest one does, and a backfill needs a
# fifth less CPU. (These names are private. If they have moved, it is as slow as before.)
if sys.argv[1:2] == ["api-server"]:
    with contextlib.suppress(ImportError, AttributeError):
        from airflow.api_fastapi.execution_api import versions
        from airflow.api_fastapi.execution_api.routes import execution_api_router
        from cadwyn import Version, VersionBundle
        from cadwyn.route_generation import _DELETED_ROUTE_TAG as OLDER_ALONE

        old = versions.bundle
        newest, current = Version(old.versions[0].value), old.api_version_var
        versions.bundle = VersionBundle(old.head_version, newest, api_version_var=current)
        routes = execution_api_router.routes
        routes[:] = [route for route in routes if OLDER_ALONE not in getattr(route, "tags", [])]


def is_sqlite(connection):
    return "sqlite" in type(connection).__module__  # sqlite3's own, or aiosqlite's adapter


@event.listens_for(Engine, "connect")
def wait_for_other_writers(connection, _record):
    """Let a writer of SQLite wait up to a minute for another one's transaction to end.

    By default it fails after 5 s. `airflow backfill create` writes a year of DAG runs in some 2 s.
    """
    if is_sqlite(connection):
        cursor = connection.cursor()
        cursor.execute("PRAGMA busy_timeout = 60000")  # ms
        cursor.close()


# `airflow backfill create` writes each DAG run in a SAVEPOINT, for which Python's sqlite3 begins a
# transaction that only reads at first. If another process commits before it writes, SQLite refuses
# that write at once ("database is locked"), whatever the timeout. So here each transaction begins
# as one that writes, as SQLAlchemy's documentation of SQLite has it ("Transactions with SQLite").
# In this command alone: a request of the API server has two sessions, and one would wait for the
# other.
if sys.argv[1:3] == ["backfill", "create"]:

    @event.listens_for(Engine, "connect")
    def leave_transactions_to_us(connection, _record):
        if is_sqlite(connection):
            connection.isolation_level = None

    @event.listens_for(Engine, "begin")
    def begin_as_a_writer(connection):
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")


files = []
if sys.argv[1:3] == ["tasks", "list"]:
    # It stores the DAG as it reads it here, and only a server may read variables in the database.
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
    # It would read all files in one process, which one that crashes or hangs would end. So it reads
    # that of its DAG alone, if libexec/store-dags has noted that.
    record = os.path.join(os.environ["AIRFLOW_HOME"], "logs/store-dags/dags")
    if os.path.exists(record):
        with open(record, encoding="utf-8") as text:
            pairs = [line.split("\t") for line in text.read().splitlines()]
        files = [file for dag_id, file in pairs if dag_id in sys.argv]
        if files:
            name = "airflow_local_settings.might_contain_dag"
            os.environ["AIRFLOW__CORE__MIGHT_CONTAIN_DAG_CALLABLE"] = name


def might_contain_dag(file_path, zip_file=None):
    return not files or str(file_path) in files


def dag_policy(dag):
    """Note for libexec/store-dags which file has a DAG (documented: "Cluster policies").

    The database has one file for each DAG, and so can't tell that two files define the same one.
    """
    if "AIRFLOW_SANDBOX_DAGS" in os.environ:
        with open(os.environ["AIRFLOW_SANDBOX_DAGS"], "a", encoding="utf-8") as file:
            print(dag.dag_id, dag.fileloc, sep="\t", file=file)
    # The scheduler of the exercises creates the DAG runs that assets ask for. By a schedule it is
    # to create none beside the backfill's, whose days are in 2024.
    if os.environ.get("AIRFLOW_HOME", "").endswith("-exercises/airflow"):
        dag.end_date = datetime(2024, 12, 31, tzinfo=timezone.utc)
    end_at_a_crash()


def end_at_a_crash():
    """Let a crash in a library end this process, which prints where it was.

    To read a file, Airflow sets a handler of SIGSEGV, in which Python hangs, and leaves it there: a
    task that crashes would run for ever (apache/airflow issue 57174).
    """
    if threading.current_thread() is threading.main_thread():
        faulthandler.disable()  # enable() does nothing where it is
        signal.signal(signal.SIGSEGV, signal.SIG_DFL)
        faulthandler.enable(sys.__stderr__)


def task_policy(task):
    """Let a sensor in mode="reschedule" look every 5 seconds at most ("Cluster policies", too).

    Airflow 3 fails one that looks again before the end of its last process has reached the
    scheduler, some 2 seconds later: "finished with state success, but the task instance's state
    attribute is queued" (apache/airflow issue 71172).
    """
    options = getattr(task, "partial_kwargs", vars(task))  # a mapped task's, or its own
    interval = options.get("poke_interval")
    if options.get("mode") == "reschedule" and isinstance(interval, (int, float)):
        options["poke_interval"] = max(interval, 5)
