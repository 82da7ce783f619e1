"""Exercise 9, solved.

Run: backfill -s 2024-01-01 -e 2024-01-04
Editions: 3 2
Why: With depends_on_past a task instance needs that of the day before to have succeeded. fetch
  has no such rule and runs on each day. total fails on 2 January, so total of 3 January can never
  run, and therefore that of 4 January can't, either. They did not fail, nobody skipped them, and
  nothing is left to wait for: they are deadlocked, and not ready. Their two DAG runs never
  finish. To get on, fix what failed on 2 January, and run the range again.

Prediction:
  finished run 2 of 4 | tasks waiting: 0 | succeeded: 5 | running: 0
  failed: 1 | skipped: 0 | deadlocked: 2 | not ready: 2
  exit code: 1
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
