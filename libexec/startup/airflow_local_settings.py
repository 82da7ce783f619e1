"""Run by every command of Airflow's as it starts (documented: "Configuring local settings")."""

import sys
import warnings

from sqlalchemy import event
from sqlalchemy.engine import Engine

# Airflow switches on all pending deprecations of its own modules. This one, of Python 3.14, is of
# Airflow's own command line, is for its authors, and would stand two lines long above each answer.
warnings.filterwarnings(
    "ignore", message="FileType is deprecated", category=PendingDeprecationWarning
)


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
