"""Exercise 17. What to do is in exercises/17-versions/README.md.

Run: backfill -s 2024-01-01 -e 2024-01-01
Run: dags reserialize
Run: backfill -s 2024-01-02 -e 2024-01-02
Run: dags reserialize
Run: backfill -s 2024-01-02 -e 2024-01-03

My prediction:
  finished run ? of ? | tasks waiting: 0 | succeeded: ? | running: 0
  failed: ? | skipped: ? | deadlocked: ? | not ready: ?
  exit code: ?
  versions of versions: ?
  files *.shop: ?
"""

from datetime import datetime
from pathlib import Path

from airflow import DAG
from airflow.providers.standard.operators.bash import BashOperator

HERE = Path(__file__).resolve().parent

with DAG("versions", schedule="@daily", start_date=datetime(2024, 1, 1), catchup=False):
    # The shop in Kiel opens on 2 January.
    open_shops = BashOperator(
        task_id="open_shops",
        cwd=str(HERE),
        bash_command="[ {{ ds }} != 2024-01-02 ] || touch kiel.shop",
    )
    # A task for each shop.
    for shop in ["bonn", *(file.stem for file in HERE.glob("*.shop"))]:
        count = BashOperator(
            task_id=f"count_{shop}",
            bash_command=f"echo counting in {shop} at {datetime.now()}",
        )
        count >> open_shops
