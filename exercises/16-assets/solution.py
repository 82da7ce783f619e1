"""Exercise 16, solved.

Run: backfill -s 2024-01-01 -e 2024-01-01
Editions: 3
Why: save has the asset as its outlet, so its success updates the asset, and Airflow starts each DAG
  whose schedule is that asset. A DAG that is new is switched off unless
  is_paused_upon_creation=False. A DAG that is off misses the update: it does not run later,
  either, when somebody switches it on. The backfill is one of assets, so the line counts its
  tasks alone; how total ended, you see in the Airflow UI. A run that an asset starts has no
  logical date. The DAG of the asset runs once for all updates since its last run, which may be
  those of several days of a backfill.

Prediction:
  finished run 1 of 1 | tasks waiting: 0 | succeeded: 2 | running: 0
  failed: 0 | skipped: 0 | deadlocked: 0 | not ready: 0
  exit code: 0
  successful runs of total: 1
  files sales.csv: 1
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
        outlets=[sales],
    )
    fetch >> save

# It runs whenever the asset has been updated.
with DAG("total", schedule=[sales], is_paused_upon_creation=False):
    BashOperator(task_id="add_up", cwd=str(HERE), bash_command="cut -d , -f 2 sales.csv")
