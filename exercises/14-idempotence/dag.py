"""Exercise 14. What to do is in exercises/14-idempotence/README.md.

Run: backfill -s 2024-01-01 -e 2024-01-02
Run: backfill -s 2024-01-01 -e 2024-01-02

My prediction:
  finished run ? of ? | tasks waiting: 0 | succeeded: ? | running: 0
  failed: ? | skipped: ? | deadlocked: ? | not ready: ?
  exit code: ?
  lines in sales*.csv: ?
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
        bash_command="echo {{ ds }},12 >> sales.csv",
    )
