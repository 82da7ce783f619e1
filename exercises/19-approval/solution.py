"""Exercise 19, solved.

Run: backfill -s 2024-01-01 -e 2024-01-02
Editions: 3
Why: A task that waits for a person holds no place: it is awaiting_input, and the line counts it as
  waiting. If response_timeout is over, the defaults are the answer, and without defaults the task
  fails. A "Reject" is an answer, so the task has succeeded, and what comes right after it is
  skipped. By the rule all_success, save would have been skipped as well. With none_failed it ran,
  and on 2 January, when there was no report to save, it did not; by all_done it would have run.
  Choose a default that does no harm.

Prediction:
  finished run 2 of 2 | tasks waiting: 0 | succeeded: 3 | running: 0
  failed: 4 | skipped: 1 | deadlocked: 0 | not ready: 0
  exit code: 1
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
        defaults="Reject",
    )
    send = BashOperator(task_id="send", bash_command="echo sending the report")
    save = BashOperator(
        task_id="save", bash_command="echo saving the report", trigger_rule="none_failed"
    )

    write >> approve >> send >> save
