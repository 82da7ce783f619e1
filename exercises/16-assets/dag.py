"""Exercise 16. What to do is in exercises/16-assets/README.md.

Run: backfill -s 2024-01-01 -e 2024-01-01

My prediction:
  finished run ? of ? | tasks waiting: 0 | succeeded: ? | running: 0
  failed: ? | skipped: ? | deadlocked: ? | not ready: ?
  exit code: ?
  successful runs of total: ?
  files sales.csv: ?
"""

from datetime import datetime
from pathlib import Path

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Asset

HERE = Path(__file__).resolve().parent
sales = Asset("sales")

with DAG("assets", schedule="@daily", start_date=datetime(2024, 1, 1), catchup=False):
    fetch = BashOperator(task_id="fetch", bash_command="echo fetching")
    save = BashOperator(
        task_id="save",
        cwd=str(HERE),
        bash_command="sleep 3 && echo {{ ds }},12 > sales.csv",
    )
    fetch >> save

# It runs whenever the asset has been updated.
with DAG("total", schedule=[sales]):
    BashOperator(task_id="add_up", cwd=str(HERE), bash_command="cut -d , -f 2 sales.csv")
