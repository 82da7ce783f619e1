"""Exercise 18, solved.

Run: backfill -s 2024-01-01 -e 2024-01-03
Editions: 3
Why: A logical date says when a run is due, and people took it for the data that the run is for.
  The partition key says just that. A run with a key has no logical date, so what Airflow makes of
  that date is missing, too: ds, data_interval_start and their kin. Templates and tasks take
  partition_key instead, or dag_run.partition_key. The key is a text, and yours to choose by
  key_format; an asset that such a run updates can hand it on to the next DAG.

Prediction:
  finished run 3 of 3 | tasks waiting: 0 | succeeded: 3 | running: 0
  failed: 0 | skipped: 0 | deadlocked: 0 | not ready: 0
  exit code: 0
  files sales-2024-0*.csv: 3
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
        bash_command="echo 12 > sales-{{ dag_run.partition_key }}.csv",
    )
