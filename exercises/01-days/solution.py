"""Exercise 1, solved.

Run: backfill -s 2024-02-27 -e 2024-03-01
Editions: 3 2
Why: Each day of the range has a DAG run, the last day, too, and 2024 has a 29 February.
  catchup=False has no say here: it keeps the scheduler from running missed days by itself, and a
  backfill names its days. Each run has a task instance of each task, and those are what the line
  counts: 4 runs of 2 tasks. At the end nothing waits and nothing runs, so the other exercises
  have these two filled in.

Prediction:
  finished run 4 of 4 | tasks waiting: 0 | succeeded: 8 | running: 0
  failed: 0 | skipped: 0 | deadlocked: 0 | not ready: 0
  exit code: 0
"""

from datetime import datetime

from airflow import DAG
from airflow.providers.standard.operators.bash import BashOperator

with DAG("days", schedule="@daily", start_date=datetime(2024, 1, 1), catchup=False):
    measure = BashOperator(task_id="measure", bash_command="echo measuring")
    report = BashOperator(task_id="report", bash_command="echo reporting")

    measure >> report
