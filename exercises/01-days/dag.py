"""Exercise 1. What to do is in exercises/01-days/README.md.

Run: backfill -s 2024-02-27 -e 2024-03-01

My prediction:
  finished run ? of ? | tasks waiting: ? | succeeded: ? | running: ?
  failed: ? | skipped: ? | deadlocked: ? | not ready: ?
  exit code: ?
"""

from datetime import datetime

from airflow import DAG
from airflow.providers.standard.operators.bash import BashOperator

with DAG("days", schedule="@daily", start_date=datetime(2024, 1, 1), catchup=False):
    measure = BashOperator(task_id="measure", bash_command="echo measuring")
    report = BashOperator(task_id="report", bash_command="echo reporting")

    measure >> report
