"""Exercise 18. What to do is in exercises/18-partitions/README.md.

Run: backfill -s 2024-01-01 -e 2024-01-03

My prediction:
  finished run ? of ? | tasks waiting: 0 | succeeded: ? | running: 0
  failed: ? | skipped: ? | deadlocked: ? | not ready: ?
  exit code: ?
  files sales-2024-0*.csv: ?
"""

from datetime import datetime
from pathlib import Path

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, CronPartitionTimetable

HERE = Path(__file__).resolve().parent

with DAG(
    "partitions",
    # Its keys are year and day of the year, as the warehouse names its partitions.
    schedule=CronPartitionTimetable("@daily", timezone="UTC", key_format="%Y-%j"),
    start_date=datetime(2024, 1, 1),
    catchup=False,
):
    BashOperator(
        task_id="save",
        cwd=str(HERE),
        bash_command="echo 12 > sales-{{ ds }}.csv",
    )
