"""Exercise 5. What to do is in exercises/05-branch/README.md.

Run: backfill -s 2024-01-05 -e 2024-01-07

My prediction:
  finished run ? of ? | tasks waiting: 0 | succeeded: ? | running: 0
  failed: ? | skipped: ? | deadlocked: ? | not ready: ?
  exit code: ?
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
    # On Sunday this fails.
    weekend = BashOperator(
        task_id="weekend", bash_command="[ {{ ds }} != 2024-01-07 ] && echo a short report"
    )
    mail = BashOperator(task_id="mail", bash_command="echo mailing the report")

    choose >> [weekday, weekend] >> mail
