"""Exercise 4. What to do is in exercises/04-trigger-rule/README.md.

Run: backfill -s 2024-01-01 -e 2024-01-03

My prediction:
  finished run ? of ? | tasks waiting: 0 | succeeded: ? | running: 0
  failed: ? | skipped: ? | deadlocked: ? | not ready: ?
  exit code: ?
"""

from datetime import datetime

from airflow import DAG
from airflow.providers.standard.operators.bash import BashOperator

with DAG("trigger_rule", schedule="@daily", start_date=datetime(2024, 1, 1), catchup=False):
    start = BashOperator(task_id="start_cluster", bash_command="echo starting")
    # The training fails on 2 January.
    train = BashOperator(task_id="train", bash_command="[ {{ ds }} != 2024-01-02 ]")
    stop = BashOperator(task_id="stop_cluster", bash_command="echo stopping")

    start >> train >> stop
