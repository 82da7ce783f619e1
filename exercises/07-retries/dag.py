"""Exercise 7. What to do is in exercises/07-retries/README.md.

Run: backfill -s 2024-01-01 -e 2024-01-01

My prediction:
  finished run ? of ? | tasks waiting: 0 | succeeded: ? | running: 0
  failed: ? | skipped: ? | deadlocked: ? | not ready: ?
  exit code: ?
  tries of fetch: ?
"""

from datetime import datetime

from airflow import DAG
from airflow.providers.standard.operators.bash import BashOperator

with DAG("retries", schedule="@daily", start_date=datetime(2024, 1, 1), catchup=False):
    # The server is busy at first: this fails on the first try and on the second one.
    fetch = BashOperator(task_id="fetch", bash_command="[ {{ ti.try_number }} -gt 2 ]")
    report = BashOperator(task_id="report", bash_command="echo reporting")

    fetch >> report
