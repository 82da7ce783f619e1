"""Exercise 4, solved.

Run: backfill -s 2024-01-01 -e 2024-01-03
Editions: 3 2
Log of stop_cluster of 2024-01-02: stopping
After: stop_cluster train
Why: A task runs if its trigger rule is met. The rule of every task is all_success unless you
  write another one. With all_done it runs when the tasks before it have ended, well or badly. Now
  the last task of 2 January has succeeded, so Airflow calls that DAG run a success, although
  train failed in it. The line still says failed: 1, and the exit code is 1. Keep that in mind
  before you trust a green DAG run. (Airflow also has as_teardown() for clean-up tasks: there the
  DAG run would have failed.)

Prediction:
  finished run 3 of 3 | tasks waiting: 0 | succeeded: 8 | running: 0
  failed: 1 | skipped: 0 | deadlocked: 0 | not ready: 0
  exit code: 1
"""

from datetime import datetime

from airflow import DAG
from airflow.providers.standard.operators.bash import BashOperator

with DAG("trigger_rule", schedule="@daily", start_date=datetime(2024, 1, 1), catchup=False):
    start = BashOperator(task_id="start_cluster", bash_command="echo starting")
    # The training fails on 2 January.
    train = BashOperator(task_id="train", bash_command="[ {{ ds }} != 2024-01-02 ]")
    stop = BashOperator(
        task_id="stop_cluster", bash_command="echo stopping", trigger_rule="all_done"
    )

    start >> train >> stop
