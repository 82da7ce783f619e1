"""Exercise 5, solved.

Run: backfill -s 2024-01-05 -e 2024-01-07
Editions: 3 2
Why: A branch skips the tasks that it did not choose. all_success, the rule of every task unless
  you write another one, does not count a skipped task as a success, so mail was skipped as well,
  each day. none_failed_min_one_success is the rule for the task where branches meet. all_done
  would mail after a failure, too. To be skipped is no failure: the exit code was 0 even when no
  mail went out.

Prediction:
  finished run 3 of 3 | tasks waiting: 0 | succeeded: 9 | running: 0
  failed: 0 | skipped: 3 | deadlocked: 0 | not ready: 0
  exit code: 0
"""

from datetime import datetime

from airflow import DAG
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import BranchPythonOperator


def which(logical_date):
    """Return the id of the task that is to run next."""
    return "weekend" if logical_date.weekday() >= 5 else "weekday"


with DAG("branch", schedule="@daily", start_date=datetime(2024, 1, 1), catchup=False):
    choose = BranchPythonOperator(task_id="choose", python_callable=which)
    weekday = BashOperator(task_id="weekday", bash_command="echo a long report")
    weekend = BashOperator(task_id="weekend", bash_command="echo a short report")
    mail = BashOperator(
        task_id="mail",
        bash_command="echo mailing the report",
        trigger_rule="none_failed_min_one_success",
    )

    choose >> [weekday, weekend] >> mail
