"""Exercise 19. What to do is in exercises/19-approval/README.md.

Run: backfill -s 2024-01-01 -e 2024-01-02

My prediction:
  finished run ? of ? | tasks waiting: 0 | succeeded: ? | running: 0
  failed: ? | skipped: ? | deadlocked: ? | not ready: ?
  exit code: ?
"""

from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG

with DAG("approval", schedule="@daily", start_date=datetime(2024, 1, 1), catchup=False):
    # On 2 January there is nothing to report: this fails.
    write = BashOperator(
        task_id="write", bash_command="[ {{ ds }} != 2024-01-02 ] && echo writing the report"
    )
    approve = ApprovalOperator(
        task_id="approve",
        subject="May the report of {{ ds }} be sent?",
        response_timeout=timedelta(seconds=5),
    )
    send = BashOperator(task_id="send", bash_command="echo sending the report")
    save = BashOperator(task_id="save", bash_command="echo saving the report")

    write >> approve >> send >> save
