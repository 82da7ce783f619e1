"""Exercise 8, solved.

Run: pools set warehouse 2 'queries at the same time'
Run: backfill -s 2024-01-01 -e 2024-01-01
Editions: 3
Why: A pool has slots, and a task instance holds one from the moment it is queued until it ends.
  The others wait, and the line counts them as waiting. A pool counts the tasks of all DAGs, as
  a database does not care which DAG asks. If a DAG asks for a pool that does not exist, no such
  task ever runs.

Prediction:
  finished run 1 of 1 | tasks waiting: 0 | succeeded: 6 | running: 0
  failed: 0 | skipped: 0 | deadlocked: 0 | not ready: 0
  exit code: 0
  most running at once: 2
  tasks in pool warehouse: 6
"""

from datetime import datetime

from airflow import DAG
from airflow.providers.standard.operators.bash import BashOperator

with DAG("pool", schedule="@daily", start_date=datetime(2024, 1, 1), catchup=False):
    # Six tasks, and none needs another one.
    for number in range(1, 7):
        BashOperator(task_id=f"query_{number}", bash_command="sleep 2", pool="warehouse")
