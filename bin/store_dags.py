#!/usr/bin/env python3
"""Store the DAGs of all DAG files in the metadata database, from which Airflow 3 runs them.

Usage: bin/sandbox bin/store_dags.py

Runs `airflow dags reserialize` and adds what that leaves out: a line for each file that can't be
read, and the DAGs that no file defines any more can't be run. (The runs that they had stay.)
The ids of the DAGs that it has stored are in $AIRFLOW_HOME/dags.stored then, one a line.

Exit codes: 0 stored, even if some other file can't be read; 1 not stored, or two files define
the same DAG.
"""

import configparser
import os
import sqlite3
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

from dag_files import report
from metadata_db import MetadataDB


def main():
    """Store them; return the exit code."""
    try:
        return store()
    except (OSError, sqlite3.Error) as error:
        print(f"store_dags: {error}; the DAGs are not stored", file=sys.stderr)
        return 1


def store():
    """The same; raises OSError or sqlite3.Error if something can't be read or written."""
    home = Path(os.environ["AIRFLOW_HOME"])
    stored = home / "dags.stored"
    stored.unlink(missing_ok=True)
    database = MetadataDB(home / "airflow.db")
    began = datetime.now(timezone.utc)
    command = ["airflow", "dags", "reserialize"]
    print(f"   $ {' '.join(command)}", flush=True)
    outcome = subprocess.run(command, capture_output=True, text=True)
    if outcome.returncode == 0:
        database.forget_what_is_older_than(began)
    errors = database.import_errors()
    if outcome.returncode != 0 or not errors:  # its words are not those of the lines below
        print(outcome.stdout + outcome.stderr, end="")
    if outcome.returncode != 0:
        return 1
    settings = configparser.RawConfigParser()
    settings.read(home / "airflow.cfg", encoding="utf-8")
    folder = Path(settings["core"]["dags_folder"].replace("%%", "%"))
    unread, twins = report((folder / name, text) for name, text in errors)
    for line in unread + twins:
        print(f"store_dags: {line}", file=sys.stderr)
    stored.write_text("".join(f"{dag_id}\n" for dag_id in database.dag_ids()))
    return 1 if twins else 0


if __name__ == "__main__":
    sys.exit(main())
