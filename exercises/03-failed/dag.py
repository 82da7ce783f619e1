"""Exercise 3. What to do is in exercises/03-failed/README.md.

Run: backfill -s 2024-01-01 -e 2024-01-03

My prediction:
  finished run ? of ? | tasks waiting: 0 | succeeded: ? | running: 0
  failed: ? | skipped: ? | deadlocked: ? | not ready: ?
  exit code: ?
"""

from datetime import datetime

from airflow import DAG
from airflow.providers.standard.operators.bash import BashOperator

with DAG("failed", schedule="@daily", start_date=datetime(2024, 1, 1), catchup=False):
    # No data came on 2 January: there this command ends with exit code 1.
    fetch = BashOperator(task_id="fetch", bash_command="[ {{ ds }} != 2024-01-02 ]")
    clean = BashOperator(task_id="clean", bash_command="echo cleaning")
    report = BashOperator(task_id="report", bash_command="echo reporting")
    fetch >> clean >> report

    # This one needs none of the others.
    BashOperator(task_id="backup", bash_command="echo saving")
