"""Exercise 7, solved.

Run: backfill -s 2024-01-01 -e 2024-01-01
Editions: 3 2
Why: retries=2 makes three tries, as the first one is not a retry. Between two tries the task
  instance is up_for_retry, and the line counts it as waiting: failed stays 0 unless the last try
  fails, too. Each try has a log of its own. Without retry_delay Airflow waits five minutes.

Prediction:
  finished run 1 of 1 | tasks waiting: 0 | succeeded: 2 | running: 0
  failed: 0 | skipped: 0 | deadlocked: 0 | not ready: 0
  exit code: 0
  tries of fetch: 3
"""

from datetime import datetime, timedelta

from airflow import DAG
from airflow.providers.standard.operators.bash import BashOperator

with DAG("retries", schedule="@daily", start_date=datetime(2024, 1, 1), catchup=False):
    # The server is busy at first: this fails on the first try and on the second one.
    fetch = BashOperator(
        task_id="fetch",
        bash_command="[ {{ ti.try_number }} -gt 2 ]",
        retries=2,
        retry_delay=timedelta(seconds=3),
    )
    report = BashOperator(task_id="report", bash_command="echo reporting")

    fetch >> report
