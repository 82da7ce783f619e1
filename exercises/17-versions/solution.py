"""Exercise 17, solved.

Run: backfill -s 2024-01-01 -e 2024-01-01
Run: dags reserialize
Run: backfill -s 2024-01-02 -e 2024-01-02
Run: dags reserialize
Run: backfill -s 2024-01-02 -e 2024-01-03
Editions: 3
Log of count_bonn of 2024-01-03: counting in bonn at
Why: A version is what Airflow has read: the tasks, their arguments, and their order. A new task
  makes a new version. 1 January keeps the one that it ran with, and 2 January, which ran again,
  has the latest one, with the second shop. The time in the f-string was another one at each
  reading, and Airflow reads each file over and over. So do not write now(), random numbers or the
  answer of a server into a DAG: nobody finds the change that counts among hundreds of versions.

Prediction:
  finished run 2 of 2 | tasks waiting: 0 | succeeded: 6 | running: 0
  failed: 0 | skipped: 0 | deadlocked: 0 | not ready: 0
  exit code: 0
  versions of versions: 2
  files *.shop: 1
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
            bash_command=f"echo counting in {shop} at $(date +%T)",
        )
        count >> open_shops
