"""What the Airflow after that of edition 3 has brought: pytest --edition next runs these."""

import re

from support.lines import progress

LOOPS = """
from datetime import datetime, timedelta

from airflow.sdk import DAG, task, task_group

with DAG("loops", schedule="@daily", start_date=datetime(2019, 1, 1), catchup=False):

    @task_group
    def refine():
        @task
        def choose(*, loop):
            return [1, 2]

        @task(retries=1, retry_delay=timedelta(seconds=3))  # long enough to be seen
        def process(value, *, loop, ti):
            if loop.index == 1 and value == 2 and ti.try_number == 1:
                raise ValueError("the first try")

        @task
        def check(*, loop):
            if loop.index == 2:
                raise ValueError("the third pass")

        process.expand(value=choose()) >> check()

    refine.loop(max_iterations=3)
"""


def test_the_passes_of_a_loop_count_and_a_retried_task_counts_once(new_checkout):
    checkout = new_checkout()
    (checkout.path / "dags/loops.py").write_text(LOOPS)
    outcome = checkout.run("bash", "-c", "make backfill DAG=loops DATE=2024-01-01 2>&1")
    # Of each pass: choose, two of process, check, and Airflow's own task, which decides on another.
    assert outcome.returncode == 2, outcome.stdout
    line = progress(outcome.stdout)[-1]
    assert (line["succeeded"], line["failed"], line["waiting"]) == (13, 2, 0), outcome.stdout
    again = (
        r"refine.process\[1\] of \S+ failed \(try 1 of 2\) and will be tried again; its log: (\S+)"
    )
    log = re.search(again, outcome.stdout)[1]
    assert "the first try" in (checkout.path / log).read_text()
    assert re.search(
        r"refine.check\[2\] of 2024-01-01 failed; .*\n(.*\n)*?.*the third pass", outcome.stdout
    )
