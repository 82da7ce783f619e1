#!/usr/bin/env python3
"""Write report.html into a results folder: all about one run, on one page that needs no other.

Usage:   bin/sandbox python pipeline/make_report.py RESULTS_FOLDER
Example: bin/sandbox python pipeline/make_report.py results/3/2026-11-23

RESULTS_FOLDER is results/EDITION/YYYY-MM-DD, of the edition that bin/sandbox runs. The page has
the picture, the table, how long each task took, and what was run. What only Airflow knows comes
from its metadata database and the tasks' logs; if it knows nothing of the run that wrote these
results, the page says why. The same input makes the same page, to the last byte.

Exit status: 0 written; 1 results missing or damaged, or the page can't be written; 2 usage.
"""

import argparse
import contextlib
import hashlib
import json
import math
import os
import platform
import re
import sys
from collections import namedtuple
from datetime import datetime, timedelta, timezone
from pathlib import Path

import get_data
from print_results import Damaged, again, best_of, lesson, read_results

try:
    import jinja2
    from airflow_sandbox.celery_workers import broker_version
    from airflow_sandbox.errors import UserError
    from airflow_sandbox.metadata_db import open_database
    from airflow_sandbox.paths import write_whole
except ImportError:
    print(
        "make_report.py: run it with: bin/sandbox python pipeline/make_report.py", file=sys.stderr
    )
    sys.exit(2)

try:
    from importlib import metadata
except ImportError:  # Python 3.7
    import importlib_metadata as metadata

HERE = Path(__file__).resolve().parent
DAG_ID = "dag_test"
PACKAGES = ["apache-airflow", "formulaic", "matplotlib", "numpy", "pandas", "scikit-learn"]
EXECUTOR = os.environ.get("EXECUTOR", "local")
# How far a file's time may be from the clock's: FAT, the coarsest, counts in steps of two seconds.
CLOCK_STEP = timedelta(seconds=2)

# What the drawings are made of. Across, all is in percent of the drawing's width, so that it fits
# any screen while its text keeps its size; down, in pixels.
Point = namedtuple("Point", "model x train test")
Bar = namedtuple("Bar", "task_id state start seconds x width")
Tick = namedtuple("Tick", "value at")


class Unknown(Exception):
    """Airflow knows nothing of the run that wrote these results; the message says why."""


def ticks(limit):
    """Return round numbers from 0 to at most limit, seven at most, for the scale of an axis."""
    rough = limit / 6
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    return [round(step * number, 9) for number in range(math.floor(limit / step) + 1)]


class Picture:
    """Where the points of the picture are: models across, their mean squared errors up."""

    top, bottom = 30, 270  # of the plot; above it is room for the best model's label
    left, right = 8, 97.5  # of the models; at the very left are the scale's numbers

    def __init__(self, rows):
        """rows: as from print_results.read_results()."""
        self.limit = 1.04 * max(max(row[2:]) for row in rows) or 1
        across = (self.right - self.left) / (len(rows) - 1)
        self.points = [
            Point(model, round(self.left + across * number, 2), self.y(train), self.y(test))
            for number, (model, _, train, test) in enumerate(rows)
        ]
        self.ticks = [Tick(value, self.y(value)) for value in ticks(self.limit)]

    def y(self, error):
        return round(self.bottom - (self.bottom - self.top) * error / self.limit, 2)


class Timeline:
    """Where the bars of the tasks are, on a scale of seconds since the first one started."""

    def __init__(self, tasks):
        """tasks: as in metadata_db.DayRun; at least one of them has started and ended."""
        self.began = min(task.start for task in tasks if task.start)
        self.seconds = max(1, *(self.since(task.end) for task in tasks if task.end))
        self.bars = []
        for task in tasks:
            start = seconds = x = width = None
            if task.start and task.end:
                start, seconds = self.since(task.start), self.since(task.end)
                seconds -= start
                x, width = self.percent(start), self.percent(seconds)
            self.bars.append(Bar(task.task_id, task.state, start, seconds, x, width))
        self.ticks = [Tick(value, self.percent(value)) for value in ticks(self.seconds)]

    def since(self, time):
        return (time - self.began).total_seconds()

    def percent(self, seconds):
        return round(100 * seconds / self.seconds, 2)


def find_run(home, folder):
    """Return the metadata_db.DayRun that wrote the results in folder, or raise Unknown.

    home: $AIRFLOW_HOME. Whether it was that run shows in the time of results.csv.
    """
    try:
        run = open_database(home).run_of_day(DAG_ID, folder.name)
    except FileNotFoundError as error:
        raise Unknown("there is no metadata database (make clean removes it)") from error
    except (UserError, ValueError) as error:
        raise Unknown(f"the metadata database can't be read: {error}") from error
    if run is None:
        raise Unknown("the metadata database has no run for this day")
    written = (folder / "results.csv").stat().st_mtime
    written = datetime.fromtimestamp(written, timezone.utc)
    for task in run.tasks:
        ended = task.task_id == "run_regression" and task.start and task.end
        if ended and task.start - CLOCK_STEP <= written <= task.end + CLOCK_STEP:
            return run
    raise Unknown(
        f"results.csv, written at {written:%Y-%m-%d %H:%M:%S} UTC, is not of the run of this day"
        " that is in the metadata database"
    )


def logged(home, folder, run, task_id, pattern):
    """Return the last match of a pattern in the newest log of a task, or None."""
    logs = home / "logs"
    places = [
        logs / f"dag_id={DAG_ID}" / f"run_id={run.run_id}" / f"task_id={task_id}",
        logs / DAG_ID / task_id / f"{folder.name}T00:00:00+00:00",  # Airflow 1.10
    ]
    files = [log for place in places if place.is_dir() for log in place.glob("*.log")]
    if not files:
        return None
    newest = max(files, key=lambda log: log.stat().st_mtime)
    last = None
    for line in newest.read_text(encoding="utf-8", errors="replace").splitlines():
        with contextlib.suppress(ValueError, KeyError, TypeError):
            line = str(json.loads(line)["event"])  # Airflow 3 logs a JSON object a line
        last = re.search(pattern, line) or last
    return last


def seed_and_cars(home, folder, run):
    """Return the seed that was used and what regress.py said of the cars, as texts."""
    said = run and logged(home, folder, run, "run_regression", r"(\d+) cars (.*), seed (\d+): (.*)")
    if said:
        return said[3], f"{said[1]} {said[2]}: {said[4]}"
    seed = re.search(r"^SEED = (\d+)", (HERE.parent / "regress.py").read_text(), re.MULTILINE)
    return (f"{seed[1]}, if regress.py was run as it stands" if seed else "not known"), "not known"


def source_of_data(home, folder, run):
    """Return where the data came from, as a text."""
    said = run and logged(home, folder, run, "get_data", r"\d+ bytes from (\S+) to ")
    if not said:
        return "not known"
    if said[1] == "data/auto-mpg.data":
        return f"{said[1]}, the copy that comes with the kit"
    # A page that is passed on is no place for a mirror's password.
    return re.sub("//[^/]*@", "//", said[1])


def servers(home):
    """Return {what: name and version} of the servers that Airflow stands on, as far as known."""
    found = {}
    with contextlib.suppress(OSError, UserError):
        found["Metadata database"] = open_database(home).version()
    if EXECUTOR == "celery":
        found["Broker"] = broker_version()
        found["Celery"] = metadata.version("celery")
    return found


def page(folder, edition, home):
    """Return the page about the results in folder, as text.

    Raises OSError or print_results.Damaged if the results can't be read.
    """
    rows = read_results(folder / "results.csv")
    data = (folder / "auto-mpg.data").read_bytes()
    run, obstacle = None, None
    try:
        run = find_run(home, folder)
    except Unknown as unknown:
        obstacle = str(unknown)
    seed, cars = seed_and_cars(home, folder, run)
    sha256 = hashlib.sha256(data).hexdigest()
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = (HERE / "report.html.jinja").read_text(encoding="utf-8")
    return environment.from_string(template).render(
        dag_id=DAG_ID,
        day=folder.name,
        edition=edition,
        rows=rows,
        best=best_of(rows),
        lesson=lesson(rows),
        picture=Picture(rows),
        run=run,
        obstacle=obstacle,
        timeline=run and Timeline(run.tasks),
        sha256=sha256,
        published=sha256 == get_data.SHA256,
        size=len(data),
        source=source_of_data(home, folder, run),
        seed=seed,
        cars=cars,
        python=platform.python_version(),
        machine=platform.platform(),
        packages={name: metadata.version(name) for name in PACKAGES},
        servers=servers(home),
        executor=EXECUTOR,
    )


def parse():
    """Return (folder, edition, home) from the command line and the environment, checked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", metavar="RESULTS_FOLDER", type=Path)
    folder = parser.parse_args().folder
    edition, home = os.environ.get("EDITION"), os.environ.get("AIRFLOW_HOME")
    if not edition or not home:
        parser.error("run it with: bin/sandbox python pipeline/make_report.py RESULTS_FOLDER")
    if not re.match(r"\d{4}-\d\d-\d\d$", folder.resolve().name):
        parser.error(f"{folder} is not results/EDITION/YYYY-MM-DD")
    of_edition = folder.resolve().parent.name
    if of_edition != edition:
        parser.error(
            f"{folder} is not of edition {edition}, in whose environment this runs;"
            f" put EDITION={of_edition} before bin/sandbox"
        )
    return folder, edition, Path(home)


def main():
    folder, edition, home = parse()
    try:
        content = page(folder, edition, home)
    except OSError as error:
        sys.exit(f"make_report.py: {error.filename}: {error.strerror}; next: {again(folder)}")
    except Damaged as error:
        sys.exit(
            f"make_report.py: {folder / 'results.csv'} is damaged: {error}; next: {again(folder)}"
        )
    report = folder / "report.html"
    try:
        write_whole(report, content, mode=0o644)
    except OSError as error:
        sys.exit(f"make_report.py: {report}: {error.strerror or error}")
    print(f"Report: {report}")


if __name__ == "__main__":
    main()
