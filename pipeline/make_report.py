#!/usr/bin/env python3
"""Write report.html into a results folder: all about one run, on one page that needs no other.

Usage:   bin/sandbox python pipeline/make_report.py RESULTS_FOLDER
Example: bin/sandbox python pipeline/make_report.py results/3/2026-11-23

RESULTS_FOLDER is results/EDITION/YYYY-MM-DD, of the edition that bin/sandbox runs. The page has
the picture, the table, when each task ran, and what was run. When the tasks ran comes from
Airflow's metadata database. The same input makes the same page, to the last byte.

Exit status: 0 written; 1 results or run missing, or the page can't be written; 2 usage.
"""

import argparse
import base64
import hashlib
import os
import platform
import sys
from collections import namedtuple
from datetime import datetime, timedelta, timezone
from pathlib import Path

import get_data
import jinja2
from airflow_sandbox.celery_workers import broker_version
from airflow_sandbox.commands import make_command
from airflow_sandbox.errors import UserError
from airflow_sandbox.metadata_db import open_database
from airflow_sandbox.paths import write_whole
from print_results import again, best_of, lesson, read_results

try:
    from importlib import metadata
except ImportError:  # Python 3.7
    import importlib_metadata as metadata

TEMPLATE = Path(__file__).with_name("report.html.jinja")
DAG_ID = "dag_test"
PACKAGES = ["apache-airflow", "formulaic", "matplotlib", "numpy", "pandas", "scikit-learn"]
# How far a file's time may be from the clock's: FAT, the coarsest, counts in steps of two seconds.
CLOCK_STEP = timedelta(seconds=2)

# When a task ran. start, seconds: since the first task started, and how long it took; left, width:
# the same in percent of the whole run. All are None for a task that did not run to its end.
Bar = namedtuple("Bar", "task_id state start seconds left width")


def find_run(database, folder):
    """Return the metadata_db.DayRun that wrote the results in folder; UserError if there is none.

    Whether it was that run shows in the time of results.csv.
    """
    run = database.run_of_day(DAG_ID, folder.name)
    written = (folder / "results.csv").stat().st_mtime
    written = datetime.fromtimestamp(written, timezone.utc)
    for task in run.tasks if run else []:
        ended = task.task_id == "run_regression" and task.start and task.end
        if ended and task.start - CLOCK_STEP <= written <= task.end + CLOCK_STEP:
            return run
    raise UserError("the metadata database has no DAG run that wrote these results")


def timeline(tasks):
    """Return when the first of a run's tasks started, a datetime, and a list of their Bars."""
    began = min(task.start for task in tasks if task.start)
    whole = max((task.end - began).total_seconds() for task in tasks if task.end)
    bars = []
    for task in tasks:
        numbers = [None] * 4
        if task.start and task.end:
            seconds = [
                (task.start - began).total_seconds(),
                (task.end - task.start).total_seconds(),
            ]
            numbers = seconds + [round(100 * number / whole, 2) for number in seconds]
        bars.append(Bar(task.task_id, task.state, *numbers))
    return began, bars


def page(folder):
    """Return the page about the results in folder, as text.

    Raises OSError or UserError if results or run are missing.
    """
    rows = read_results(folder)
    data = (folder / "auto-mpg.data").read_bytes()
    picture = (folder / "bias_variance.png").read_bytes()
    database = open_database(Path(os.environ["AIRFLOW_HOME"]))
    run = find_run(database, folder)
    began, bars = timeline(run.tasks)
    sha256 = hashlib.sha256(data).hexdigest()
    published = "the published file" if sha256 == get_data.SHA256 else "NOT the published file"
    facts = {
        "Edition": os.environ["EDITION"],
        "Logical date": folder.name,
        "DAG run": f"{run.run_id}, {run.state}",
        "Command": make_command("all", DATE=folder.name),
        "Data": f"auto-mpg.data, {len(data)} bytes, {published}",
        "Its SHA-256": sha256,
        "Machine": platform.platform(),
        "Python": platform.python_version(),
        **{name: metadata.version(name) for name in PACKAGES},
        "Metadata database": database.version(),
    }
    if os.environ.get("EXECUTOR") == "celery":
        facts.update(Broker=broker_version(), Celery=metadata.version("celery"))
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        title=f"{DAG_ID} of {folder.name}",
        lesson=lesson(rows),
        picture=base64.b64encode(picture).decode(),
        rows=rows,
        best=best_of(rows),
        began=began,
        bars=bars,
        facts=facts,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", metavar="RESULTS_FOLDER", type=Path)
    folder = parser.parse_args().folder
    try:
        content = page(folder)
    except (OSError, UserError) as error:
        sys.exit(f"make_report.py: {error}; next: {again(folder)}")
    report = folder / "report.html"
    try:
        write_whole(report, content, mode=0o644)
    except OSError as error:
        sys.exit(f"make_report.py: {report}: {error.strerror}")
    print(f"Report: {report}")


if __name__ == "__main__":
    main()
