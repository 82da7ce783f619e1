"""Exercise 6. What to do is in exercises/06-skipped/README.md.

Run: backfill -s 2024-01-01 -e 2024-01-03

My prediction:
  finished run ? of ? | tasks waiting: 0 | succeeded: ? | running: 0
  failed: ? | skipped: ? | deadlocked: ? | not ready: ?
  exit code: ?
"""

from datetime import datetime

from airflow import DAG
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import ShortCircuitOperator


def is_open(ds):
    """Return whether the shop is open. It is closed on 2 January."""
    return ds != "2024-01-02"


with DAG("skipped", schedule="@daily", start_date=datetime(2024, 1, 1), catchup=False):
    check = ShortCircuitOperator(task_id="check", python_callable=is_open)
    # Exit code 99 says: skip me. There is nothing to fetch on 3 January.
    fetch = BashOperator(task_id="fetch", bash_command="[ {{ ds }} != 2024-01-03 ] || exit 99")
    report = BashOperator(task_id="report", bash_command="echo reporting")
    close = BashOperator(task_id="close", bash_command="echo closing", trigger_rule="all_done")

    check >> fetch >> report >> close
