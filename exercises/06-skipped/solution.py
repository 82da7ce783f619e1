"""Exercise 6, solved.

Run: backfill -s 2024-01-01 -e 2024-01-03
Editions: 3 2
Why: On 2 January the short circuit itself succeeds, and skips everything after it. That includes
  close, although its trigger rule is all_done: a short circuit does not ask the rules, unless you
  give it ignore_downstream_trigger_rules=False. On 3 January fetch skips itself. report, with its
  rule all_success, is skipped after it, and close runs. So 3 are skipped on the one day, and 2 on
  the other. Skipped is no failure: the exit code is 0.

Prediction:
  finished run 3 of 3 | tasks waiting: 0 | succeeded: 7 | running: 0
  failed: 0 | skipped: 5 | deadlocked: 0 | not ready: 0
  exit code: 0
"""

from datetime import datetime

from airflow import DAG
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import ShortCircuitOperator


def is_open(ds):
    """Return whether the shop is open. It is closed on 2 January."""
    return ds != "2024-01-02"


with DAG("skipped", schedule="@daily", start_date=datetime(2024, 1, 1), catchup=False):
    check = ShortCircuitOperator(task_id="check", python_callable=is_open)
    # Exit code 99 says: skip me. There is nothing to fetch on 3 January.
    fetch = BashOperator(task_id="fetch", bash_command="[ {{ ds }} != 2024-01-03 ] || exit 99")
    report = BashOperator(task_id="report", bash_command="echo reporting")
    close = BashOperator(task_id="close", bash_command="echo closing", trigger_rule="all_done")

    check >> fetch >> report >> close
