"""Exercise 14, solved.

Run: backfill -s 2024-01-01 -e 2024-01-02
Run: backfill -s 2024-01-01 -e 2024-01-02
Editions: 3 2
Why: Tasks run more than once: after a failure, in a retry, in a backfill. A task is idempotent if
  running it again for the same day changes nothing. To append is not. To replace what belongs to
  the day is: a file or a partition for each logical date, or DELETE and INSERT in one
  transaction. Your two days are in separate files now, so two runs at the same time can't spoil
  each other's work, either.

Prediction:
  finished run 2 of 2 | tasks waiting: 0 | succeeded: 2 | running: 0
  failed: 0 | skipped: 0 | deadlocked: 0 | not ready: 0
  exit code: 0
  lines in sales*.csv: 2
"""

from datetime import datetime
from pathlib import Path

from airflow import DAG
from airflow.providers.standard.operators.bash import BashOperator

HERE = Path(__file__).resolve().parent

with DAG("idempotence", schedule="@daily", start_date=datetime(2024, 1, 1), catchup=False):
    BashOperator(
        task_id="save",
        cwd=str(HERE),
        bash_command="echo {{ ds }},12 > sales-{{ ds }}.csv",
    )
