#!/usr/bin/env python3
"""Kill `make all` again and again, at random moments, and see whether anything is ever lost.

Usage:   bin/sandbox python bench/kill_points.py CHECKOUT [--kills N] [--seed N]
Example: git clone . /tmp/kills && bin/sandbox python bench/kill_points.py /tmp/kills

CHECKOUT is a clone of the kit, to be used up: it is killed in, cleaned and rebuilt. Each round
starts `make all` there, in a state drawn at random (as the round before has left it; after a `make
clean`; without its environment), and sends SIGKILL at a random moment: to make, to one process of
the run, or to all of them at once, as a power cut would. Now and then a round is left alone.

A run is lost if, when left alone, it does not end with three succeeded tasks and the right numbers,
whatever the rounds before it have left behind; or if a process outlives a kill by ten seconds; or
if a run does not come to an end. Prints a line a round and a summary; exits 1 if anything was lost.
"""

import argparse
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path

import psutil

GOLDEN = Path(__file__).resolve().parent.parent / "tests/golden/results.csv"
PATIENCE = 10  # seconds that a process may outlive the kill
ENOUGH = 600  # seconds after which a run is taken to hang
LEFT_ALONE = 0.1  # of the rounds; and of those that have an environment to make, or few would go
LEFT_TO_INSTALL = 0.6  # beyond it
# How a round begins, how often, and for how many seconds the moment of the kill is drawn.
STATES = {"as it was": (0.65, 20), "clean": (0.3, 30), "no environment": (0.05, 45)}
VICTIMS = ["make", "one process", "all at once"]


def processes_of(folder):
    """Return the living processes that work in the folder, as a list of psutil.Process."""
    us = {psutil.Process().pid, *(process.pid for process in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        try:
            words = " ".join([f"{process.cwd()}/", *process.cmdline()])
            ours = f"{folder}/" in words
            ours = ours and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            continue
        if ours and process.pid not in us:
            found.append(process)
    return found


def kill(victim, make, folder):
    """Kill the victim (one of VICTIMS); return the name of what was killed."""
    processes = processes_of(folder)
    if victim == "make" or not processes:
        make.kill()
        return "make"
    if victim == "one process":
        processes = [random.choice(processes)]
    names = []
    for process in processes:
        try:
            names.append(" ".join(process.cmdline())[:40].strip())
            process.kill()
        except psutil.NoSuchProcess:
            continue
    return names[0] if len(names) == 1 else f"{len(names)} processes"


def seconds_to_quiet(folder):
    """Return after how many seconds nothing works in the folder any more, or None."""
    start = time.monotonic()
    while processes_of(folder):
        if time.monotonic() - start > PATIENCE:
            return None
        time.sleep(0.1)
    return time.monotonic() - start


def is_right(folder, code, output):
    """Return whether a run that was left alone ended as it should."""
    lines = re.findall(r"finished run (\d) of 1 .* succeeded: (\d) ", output)
    day = re.findall(r"results/3/(\d{4}-\d\d-\d\d)", output)
    results = folder / "results/3" / (day[-1] if day else "none") / "results.csv"
    return (
        code == 0
        and lines[-1:] == [("1", "3")]
        and results.exists()
        and results.read_bytes() == GOLDEN.read_bytes()
    )


def play_round(folder, state, victim):
    """Play one round; return (step, what was killed, seconds to quiet, output, exit code)."""
    if state == "clean":
        subprocess.run(["make", "clean"], cwd=folder, capture_output=True)
    elif state == "no environment":
        (folder / ".sandbox/3/env.done").unlink(missing_ok=True)
    with tempfile.TemporaryFile("w+") as log:
        make = subprocess.Popen(["make", "all"], cwd=folder, stdout=log, stderr=subprocess.STDOUT)
        killed = None
        try:
            make.wait(random.uniform(0, STATES[state][1]) if victim else ENOUGH)
        except subprocess.TimeoutExpired:
            killed = kill(victim or "all at once", make, folder)
            try:
                make.wait(ENOUGH)
            except subprocess.TimeoutExpired:
                kill("all at once", make, folder)
                return "", killed, None, "", 1
        quiet = seconds_to_quiet(folder)
        log.seek(0)
        output = log.read()
    steps = re.findall(r"^== (.*)$", output, re.MULTILINE)
    return (steps or ["(before the first)"])[-1], killed, quiet, output, make.returncode


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=datetime.now(timezone.utc).toordinal())
    args = parser.parse_args()
    folder = args.checkout.resolve()
    if not (folder / "libexec/lock-checkout").exists() or GOLDEN.is_relative_to(folder):
        parser.error(f"{folder} is not another clone of the kit")
    random.seed(args.seed)
    print(f"seed {args.seed}", flush=True)

    by_step, by_victim, lost, completed, slowest, repairs = Counter(), Counter(), [], 0, 0, 0
    while sum(by_step.values()) < args.kills or not completed:
        (state,) = random.choices(list(STATES), [share for share, _ in STATES.values()])
        installs = state == "no environment" or not (folder / ".sandbox/3/env.done").exists()
        alone = random.random() < (LEFT_TO_INSTALL if installs else LEFT_ALONE)
        alone = alone or sum(by_step.values()) >= args.kills
        victim = None if alone else random.choice(VICTIMS)
        step, killed, quiet, output, code = play_round(folder, state, victim)
        repairs += output.count("repaired:")
        fault = ""
        if quiet is None:
            fault = "LOST: it hung, or something went on running"
        elif killed is None:
            completed += 1
            if not is_right(folder, code, output):
                fault = "LOST: the run failed\n" + output
        if killed is not None:
            by_step[step] += 1
            by_victim[victim] += 1
            slowest = max(slowest, quiet or 0)
        if fault:
            lost.append(fault)
        print(
            f"{sum(by_step.values()):4}  {state:14}  {step:36}  "
            f"{killed or 'left alone':40}  {quiet or 0:4.1f} s  {fault}",
            flush=True,
        )

    print(f"\n{sum(by_step.values())} kills, {completed} runs left alone, {len(lost)} lost;")
    print(f"the slowest end of all processes took {slowest:.1f} s; {repairs} repairs were reported")
    for title, counts in ("by step", by_step), ("by victim", by_victim):
        print(f"{title}: " + ", ".join(f"{name} {count}" for name, count in counts.most_common()))
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
