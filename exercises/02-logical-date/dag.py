"""Exercise 2. What to do is in exercises/02-logical-date/README.md.

Run: backfill -s 2024-01-01 -e 2024-01-03

My prediction:
  finished run ? of ? | tasks waiting: 0 | succeeded: ? | running: 0
  failed: ? | skipped: ? | deadlocked: ? | not ready: ?
  exit code: ?
  files sales-*.txt: ?
"""

from datetime import datetime
from pathlib import Path

from airflow import DAG
from airflow.providers.standard.operators.bash import BashOperator

HERE = Path(__file__).resolve().parent

with DAG("logical_date", schedule="@daily", start_date=datetime(2024, 1, 1), catchup=False):
    BashOperator(
        task_id="download",
        cwd=str(HERE),
        bash_command="echo 'the sales of this day' > sales-$(date +%F).txt",
    )
