#!/usr/bin/env python3
"""Measure how fast the kit is, as ratios between things that are timed in turn in one run.

Usage: make bench [ROUNDS=3] [START=2024-01-01 END=2024-01-22]

Seconds differ from machine to machine and from minute to minute; a ratio of two things measured
side by side does not, much. Names each measurement as it begins and prints its seconds as it ends;
at the end prints the median of each figure over so many rounds as a table. bench/README.md says
what is measured and what came out.

It works in this checkout: the runs of its days stay in the metadata database, and their results in
results/3/DAY and results/2/DAY, where a backfill of the same days has them, too. Exit codes: 0 all
was measured, 1 a command failed, 2 wrong usage, 128 + n interrupted by signal n.
"""

import contextlib
import http.client
import json
import os
import pty
import select
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

import psutil
from airflow_sandbox.interruption import Interrupted, catch_signals
from airflow_sandbox.process_tree import ProcessTree

PROJECT = Path(__file__).resolve().parent.parent

# Days in the past, so that no scheduled run of today is in anybody's way.
FIRST, LAST = date(2024, 1, 1), date(2024, 1, 22)
DAY = str(FIRST)
TASKS = 3  # of the DAG
PORT = 18080  # of the api-server that is started by hand
EXERCISE = 3
PATIENCE = 300  # seconds that it gets to be ready
LOG_TAIL = 2000  # characters shown of what failed
IMPORTS = (
    "import matplotlib, numpy, pandas, formulaic; from sklearn.linear_model import"
    " LinearRegression; from matplotlib.backends.backend_agg import FigureCanvasAgg"
)
# Prints what the tasks of a DAG file run, in their order.
DESCRIBE = """
import json, runpy, sys
dag = runpy.run_path(sys.argv[1])["dag"]
print(json.dumps([task.bash_command for task in dag.topological_sort()]))
"""


class Failed(Exception):
    """Something can't be measured; the message says why."""


def say(text):
    # A line each: libexec/step shows the seconds at the beginning of the next one.
    print(f"   {text}", flush=True)


def output(command, **options):
    """Run a command, which has to succeed, in the checkout; return what it printed."""
    outcome = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, **options)
    if outcome.returncode != 0:
        printed = (outcome.stdout + outcome.stderr)[-LOG_TAIL:]
        code = f"exit code {outcome.returncode}"
        raise Failed(f"{shlex.join(map(str, command))} failed with {code}:\n{printed}")
    return outcome.stdout


def seconds(command):
    """Run a command, which has to succeed, and return how many seconds that took."""
    start = time.perf_counter()
    output(command)
    return time.perf_counter() - start


def by_hand(home):
    """Take the steps of `make all` as Airflow's quick start would; return the seconds.

    home: an empty folder, the AIRFLOW_HOME. With its database migrated, which is not timed,
    `airflow standalone` is started, waited for, and asked for a backfill, which is watched with
    Airflow's own command line.
    """
    settings = {
        # The sandbox has set some paths where '%' is in them: here, they are this home's.
        **{
            name: value.replace(os.environ["AIRFLOW_HOME"], str(home))
            for name, value in os.environ.items()
            if name.startswith("AIRFLOW_")
        },
        "PYTHONPATH": str(PROJECT / "libexec"),  # without libexec/startup
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        # Once switched on, the DAG would also run for today: beside the backfill, and in the
        # folder of today's results, to be killed half-way there.
        "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
        "AIRFLOW__API__PORT": str(PORT),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{PORT}",
    }
    options = {"env": {**os.environ, **settings}}
    output(["airflow", "db", "migrate"], **options)
    log = home / "standalone.log"
    start = time.perf_counter()
    output(["airflow", "dags", "list"], **options)
    output(["airflow", "tasks", "list", "dag_test"], **options)
    with log.open("w") as printed, ProcessTree(home / "processes") as tree:
        server = tree.start(["airflow", "standalone"], printed, **settings)
        deadline = time.monotonic() + PATIENCE
        while not healthy():
            if server.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"airflow standalone is not ready:\n{log.read_text()[-LOG_TAIL:]}")
            time.sleep(0.5)
        output(["airflow", "dags", "unpause", "dag_test", "--yes"], **options)
        dates = ["--from-date", DAY, "--to-date", DAY, "--reprocess-behavior", "completed"]
        output(["airflow", "backfill", "create", "--dag-id", "dag_test", *dates], **options)
        run = f"backfill__{DAY}T00:00:00+00:00"
        states = ["airflow", "tasks", "states-for-dag-run", "dag_test", run, "-o", "plain"]
        while (shown := output(states, **options)).count("success") < 3:
            if "failed" in shown:
                raise Failed(f"the backfill by hand failed:\n{shown}")
        elapsed = time.perf_counter() - start
    output(["python", "pipeline/print_results.py", f"results/3/{DAY}"])
    return elapsed


def healthy():
    """Return whether the api-server and the scheduler that were started by hand are ready."""
    try:
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=30)
        connection.request("GET", "/api/v2/monitor/health")
        return connection.getresponse().read().count(b'"healthy"') >= 3
    except (OSError, http.client.HTTPException):
        return False


def shell_loop(days):
    """Return a shell script that runs what the tasks of the DAG run for each of days, in turn.

    The commands are the DAG's own; it is a shell, instead of Airflow, that fills in the day.
    """
    printed = output([sys.executable, "-c", DESCRIBE, PROJECT / "dags/dag_example.py"])
    commands = json.loads(printed.splitlines()[-1])
    if len(commands) != TASKS:
        raise Failed(f"the DAG has {len(commands)} tasks")
    tasks = "\n".join(f"  ({command})" for command in commands)
    return f"set -e\nfor DAY in {' '.join(days)}; do\n{tasks}\ndone"


@contextlib.contextmanager
def watching(number):
    """A context in which `make watch` runs an exercise on a terminal; yields a function that lets
    it run the solution, as after a save, and returns how many seconds the verdict takes."""
    ours, its = pty.openpty()
    words = ["make", "watch", f"N={number}", f"PORT={PORT}"]
    process = subprocess.Popen(words, cwd=PROJECT, stdin=its, stdout=its, stderr=its)
    os.close(its)

    def wait_for(sign):
        start, seen = time.perf_counter(), b""
        while sign not in seen:
            if time.perf_counter() - start > PATIENCE:
                raise Failed(f"make watch did not show {sign!r}:\n{seen.decode()[-LOG_TAIL:]}")
            if process.poll() is not None:
                raise Failed(f"make watch has ended:\n{seen.decode()[-LOG_TAIL:]}")
            if select.select([ours], [], [], 1)[0]:
                seen += os.read(ours, 65536)
        return time.perf_counter() - start

    def run():
        os.write(ours, b"s")
        return wait_for(b"Passed.")

    try:
        wait_for(b"q quit")
        run()  # the first one loads more
        yield run
    finally:
        process.terminate()
        process.wait(PATIENCE)
        os.close(ours)


def busy():
    """Return how many seconds the processors of this machine have worked since it was booted."""
    times = psutil.cpu_times()
    return times.user + times.system


def compare(rounds, ours, *others, tasks=None):
    """Time functions in turn; return a line of the table for ours beside each of the others.

    ours, others: pairs of a name and a function that returns seconds. tasks: how many tasks each
    of them runs, for the line to tell how many that is a second, and how many seconds a processor
    of this machine was busy with each.
    """
    times = {name: [] for name, _ in (ours, *others)}
    works = {name: [] for name in times}
    for number in range(rounds):
        for name, function in (ours, *others):
            say(f"round {number + 1} of {rounds}: {name} ...")
            before = busy()
            times[name].append(function())
            works[name].append(busy() - before)
            say(f"{times[name][-1]:.2f} s")
    lines = []
    for other, _ in others:
        a, b = (statistics.median(times[name]) for name in (ours[0], other))
        pairs = zip(times[ours[0]], times[other], strict=True)
        ratio = statistics.median(one / two for one, two in pairs)
        rates = ""
        if tasks:
            c, d = (statistics.median(works[name]) / tasks for name in (ours[0], other))
            rates = f"   {tasks / a:.2f} : {tasks / b:.2f} tasks a second"
            rates += f", {c:.2f} : {d:.2f} s of CPU a task"
        lines.append(f"{ours[0] + ' : ' + other:<58} {a:7.2f} s {b:7.2f} s   {ratio:5.2f}{rates}")
    return lines


def measure(rounds, days, folder):
    """Return the lines of the table, as compare() makes them.

    days: those of the long backfill, as YYYY-MM-DD; folder: for temporary files.
    """
    python = [sys.executable]
    data = ["--data", PROJECT / "data/auto-mpg.data", "--out", f"{folder}/results"]
    table = compare(
        rounds,
        ("regress.py", lambda: seconds([*python, "regress.py", *data])),
        ("importing what it imports", lambda: seconds([*python, "-c", IMPORTS])),
    )
    table += compare(
        rounds,
        ("a second make env", lambda: seconds(["make", "env"])),
        ("python -c pass", lambda: seconds([*python, "-c", "pass"])),
    )
    say("make all, to warm up ...")
    seconds(["make", "all", f"DATE={DAY}"])
    # A home for each round: the backfill of the last one is still open when it is stopped.
    homes = [Path(tempfile.mkdtemp(dir=folder)) for _ in range(rounds)]
    table += compare(
        rounds,
        ("make all, warm", lambda: seconds(["make", "all", f"DATE={DAY}"])),
        ("the same steps by hand", lambda: by_hand(homes.pop())),
    )
    with watching(EXERCISE) as run:
        watched = [run() for _ in range(rounds)]
    table += compare(
        rounds,
        ("from save to verdict in make watch", watched.pop),
        ("make exercise", lambda: seconds(["make", "exercise", f"N={EXERCISE}", "SOLUTION=1"])),
    )
    span = [f"START={days[0]}", f"END={days[-1]}"]
    loop = ["bin/sandbox", "bash", "-c", shell_loop(days)]
    others = [("its commands in a shell loop", lambda: seconds(loop))]
    for name, edition in ("on Airflow 2", "2"), ("on the next Airflow", "next"):
        variable = f"EDITION={edition}"
        if not (PROJECT / f".sandbox/{edition}/env.done").exists():
            say(f"A backfill {name} is left out; it is measured, too, after: make env {variable}")
            continue
        say(f"make list-dags {variable}, to set it up ...")
        seconds(["make", "list-dags", variable])
        command = ["make", "backfill", variable, *span]
        others.append((name, lambda command=command: seconds(command)))
    for name, variable in ("on Postgres", "DB=postgres"), ("with Celery", "EXECUTOR=celery"):
        if subprocess.run(
            ["make", "doctor", variable], capture_output=True, cwd=PROJECT
        ).returncode:
            say(f"A backfill {name} is left out; what it lacks: make doctor {variable}")
            continue
        say(f"make list-dags {variable}, to set it up ...")
        seconds(["make", "list-dags", variable])
        command = ["make", "backfill", variable, *span]
        others.append((name, lambda command=command: seconds(command)))
    ours = (f"a backfill of {len(days)} days", lambda: seconds(["make", "backfill", *span]))
    return table + compare(rounds, ours, *others, tasks=TASKS * len(days))


def main(arguments):
    """Measure, and print the table; return the exit code."""
    if len(arguments) != 3 or os.environ.get("EDITION") != "3":
        print("bench: it measures edition 3, so type: make bench", file=sys.stderr)
        return 2
    rounds = int(arguments[0])
    first, last = map(date.fromisoformat, arguments[1:])
    if first == last:  # as make has it where no range was given
        first, last = FIRST, LAST
    days = [str(first + timedelta(number)) for number in range((last - first).days + 1)]
    catch_signals()
    try:
        with tempfile.TemporaryDirectory() as folder:
            table = measure(rounds, days, folder)
    except Failed as failure:
        print(f"bench: {failure}", file=sys.stderr)
        return 1
    except Interrupted as interrupted:
        return 128 + interrupted.args[0]
    title = "1 round" if rounds == 1 else f"median of {rounds} rounds"
    print("\n".join(["", f"{title:<58}      ours     other   ratio", *table]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
