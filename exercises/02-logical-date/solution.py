"""Exercise 2, solved.

Run: backfill -s 2024-01-01 -e 2024-01-03
Editions: 3 2
Why: $(date +%F) is the day on which the task happens to run. {{ ds }} is the logical date: the
  day that the DAG run is for. Airflow fills it in before it runs the command. Nothing in the line
  showed the difference: it counts how tasks ended, and not whether they did what you meant.

Prediction:
  finished run 3 of 3 | tasks waiting: 0 | succeeded: 3 | running: 0
  failed: 0 | skipped: 0 | deadlocked: 0 | not ready: 0
  exit code: 0
  files sales-*.txt: 3
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
        bash_command="echo 'the sales of this day' > sales-{{ ds }}.txt",
    )
