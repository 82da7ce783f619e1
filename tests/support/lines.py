"""What a run prints and leaves: the progress line, the results."""

import re
from datetime import datetime, timezone

from support.checkouts import PROJECT, table_of

LINE = re.compile(
    r"INFO - \[backfill progress\] \| finished run (?P<finished>\d+) of (?P<runs>\d+)"
    r" \| tasks waiting: (?P<waiting>\d+) \| succeeded: (?P<succeeded>\d+)"
    r" \| running: (?P<running>\d+) \| failed: (?P<failed>\d+) \| skipped: (?P<skipped>\d+)"
    r" \| deadlocked: (?P<deadlocked>\d+) \| not ready: (?P<not_ready>\d+)$",
    re.MULTILINE,
)

GOLDEN = PROJECT / "tests/golden/results.csv"


def progress(output):
    """Return the progress lines of a backfill's output, each as {name: count}."""
    return [
        {name: int(count) for name, count in found.groupdict().items()}
        for found in LINE.finditer(output)
    ]


def all_succeeded(runs=1):
    """Return what the last progress line has to say of so many runs of the three tasks."""
    nothing = dict.fromkeys(
        ["waiting", "running", "failed", "skipped", "deadlocked", "not_ready"], 0
    )
    return {**nothing, "finished": runs, "runs": runs, "succeeded": 3 * runs}


def results_of(checkout, day=None):
    day = day or datetime.now(timezone.utc).date()
    return checkout.path / "results" / checkout.edition / str(day)


def verbs(edition):
    """Return Airflow's commands of an edition's table for dag_test, {variable: command}."""
    command = r"^([A-Z_]+) *:= *(?:libexec/supervise )?(airflow.*)$"
    found = re.findall(command, table_of(edition), re.MULTILINE)
    return {name: command.replace('"$$DAG"', "dag_test") for name, command in found}
