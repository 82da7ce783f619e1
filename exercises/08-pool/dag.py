"""Exercise 8. What to do is in exercises/08-pool/README.md.

Run: pools set warehouse 2 'queries at the same time'
Run: backfill -s 2024-01-01 -e 2024-01-01

My prediction:
  finished run ? of ? | tasks waiting: 0 | succeeded: ? | running: 0
  failed: ? | skipped: ? | deadlocked: ? | not ready: ?
  exit code: ?
  most running at once: ?
  tasks in pool warehouse: ?
"""

from datetime import datetime

from airflow import DAG
from airflow.providers.standard.operators.bash import BashOperator

with DAG("pool", schedule="@daily", start_date=datetime(2024, 1, 1), catchup=False):
    # Six tasks, and none needs another one.
    for number in range(1, 7):
        BashOperator(task_id=f"query_{number}", bash_command="sleep 2")
