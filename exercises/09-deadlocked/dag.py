"""Exercise 9. What to do is in exercises/09-deadlocked/README.md.

Run: backfill -s 2024-01-01 -e 2024-01-04

My prediction:
  finished run ? of ? | tasks waiting: 0 | succeeded: ? | running: 0
  failed: ? | skipped: ? | deadlocked: ? | not ready: ?
  exit code: ?
"""

from datetime import datetime

from airflow import DAG
from airflow.providers.standard.operators.bash import BashOperator

with DAG("deadlocked", schedule="@daily", start_date=datetime(2024, 1, 1), catchup=False):
    fetch = BashOperator(task_id="fetch", bash_command="echo fetching")
    # It adds the day to the total of the day before. It fails on 2 January.
    total = BashOperator(
        task_id="total",
        bash_command="[ {{ ds }} != 2024-01-02 ]",
        depends_on_past=True,
    )

    fetch >> total
