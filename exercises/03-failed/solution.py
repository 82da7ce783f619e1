"""Exercise 3, solved.

Run: backfill -s 2024-01-01 -e 2024-01-03
Editions: 3 2
Why: One task failed, and the line says 3. The two tasks after it can't run: Airflow gives them
  the state upstream_failed, and the line counts them as failed, too. They are not skipped,
  because nobody decided not to run them. backup does not depend on fetch, so it ran. A DAG run
  that failed has also finished, and the other days are not affected. The exit code is 1 as soon
  as one task instance has failed.

Prediction:
  finished run 3 of 3 | tasks waiting: 0 | succeeded: 9 | running: 0
  failed: 3 | skipped: 0 | deadlocked: 0 | not ready: 0
  exit code: 1
"""

from datetime import datetime

from airflow import DAG
from airflow.providers.standard.operators.bash import BashOperator

with DAG("failed", schedule="@daily", start_date=datetime(2024, 1, 1), catchup=False):
    # No data came on 2 January: there this command ends with exit code 1.
    fetch = BashOperator(task_id="fetch", bash_command="[ {{ ds }} != 2024-01-02 ]")
    clean = BashOperator(task_id="clean", bash_command="echo cleaning")
    report = BashOperator(task_id="report", bash_command="echo reporting")
    fetch >> clean >> report

    # This one needs none of the others.
    BashOperator(task_id="backup", bash_command="echo saving")
