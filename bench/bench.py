#!/usr/bin/env python3
"""Measure how fast the kit is, as ratios between two things timed in turn in one run.

Usage: make bench [ROUNDS=3]

Seconds differ from machine to machine and from minute to minute; a ratio of two things measured
side by side does not, much. Prints the median of each figure over ROUNDS rounds. bench/README.md
says what is measured and what came out.
"""

import http.client
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT / "bin"))
import process_tree  # noqa: E402

ROUNDS = int(sys.argv[1])
DAY = "2024-01-01"  # in the past, so that no scheduled run of today is in anybody's way
PORT = 18080  # of the api-server that is started by hand
IMPORTS = (
    "import matplotlib, numpy, pandas, formulaic; from sklearn.linear_model import"
    " LinearRegression; from matplotlib.backends.backend_agg import FigureCanvasAgg"
)


def seconds(command, **options):
    """Run a command, which has to succeed, and return how many seconds that took."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=PROJECT, **options)
    return time.perf_counter() - start


def output(command, **options):
    """Run a command, which has to succeed, and return what it printed."""
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout


def by_hand(home):
    """Take the steps of `make all` as Airflow's quick start would; return the seconds.

    home: an empty folder, the AIRFLOW_HOME. With its database migrated, which is not timed,
    `airflow standalone` is started, waited for, and asked for a backfill, which is watched with
    Airflow's own command line.
    """
    settings = {
        "AIRFLOW_HOME": str(home),
        "PYTHONPATH": "",  # without bin/startup
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__API__PORT": str(PORT),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{PORT}",
    }
    options = {"env": {**os.environ, **settings}}
    output(["airflow", "db", "migrate"], **options)
    start = time.perf_counter()
    output(["airflow", "dags", "list"], **options)
    output(["airflow", "tasks", "list", "dag_test"], **options)
    log = home / "standalone.log"
    with log.open("w") as printed, process_tree.ProcessTree(home / "processes") as tree:
        tree.start(["airflow", "standalone"], printed, **settings)
        while not healthy():
            time.sleep(0.5)
        output(["airflow", "dags", "unpause", "dag_test", "--yes"], **options)
        dates = ["--from-date", DAY, "--to-date", DAY, "--reprocess-behavior", "completed"]
        output(["airflow", "backfill", "create", "--dag-id", "dag_test", *dates], **options)
        run = f"backfill__{DAY}T00:00:00+00:00"
        states = ["airflow", "tasks", "states-for-dag-run", "dag_test", run, "-o", "plain"]
        while (shown := output(states, **options)).count("success") < 3:
            if "failed" in shown:
                raise RuntimeError(f"the backfill by hand failed:\n{shown}")
        elapsed = time.perf_counter() - start
    output(["python", "bin/show_results.py", f"results/3/{DAY}"], cwd=PROJECT)
    return elapsed


def healthy():
    """Return whether the api-server and the scheduler that were started by hand are ready."""
    try:
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=30)
        connection.request("GET", "/api/v2/monitor/health")
        return connection.getresponse().read().count(b'"healthy"') >= 3
    except OSError:
        return False


def compare(title, ours, theirs):
    """Time two functions in turn; print their medians and the median of the ratios."""
    pairs = [(ours(), theirs()) for _ in range(ROUNDS)]
    a, b = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    print(f"{title:<58} {a:7.2f} s {b:7.2f} s   {ratio:5.2f}", flush=True)


def main():
    print(f"{'median of ' + str(ROUNDS) + ' rounds':<58}      ours    other   ratio")
    python = [sys.executable]
    with tempfile.TemporaryDirectory() as folder:
        data = ["--data", PROJECT / "data/auto-mpg.data", "--out", f"{folder}/results"]
        compare(
            "regress.py : importing what it imports",
            lambda: seconds([*python, "regress.py", *data]),
            lambda: seconds([*python, "-c", IMPORTS]),
        )
        compare(
            "a second make env : python -c pass",
            lambda: seconds(["make", "env"]),
            lambda: seconds([*python, "-c", "pass"]),
        )
        seconds(["make", "all", f"DATE={DAY}"])
        # A home for each round: the backfill of the last one is still open when it is stopped.
        homes = [Path(tempfile.mkdtemp(dir=folder)) for _ in range(ROUNDS)]
        compare(
            "make all, warm : the same steps by hand",
            lambda: seconds(["make", "all", f"DATE={DAY}"]),
            lambda: by_hand(homes.pop()),
        )


if __name__ == "__main__":
    main()
