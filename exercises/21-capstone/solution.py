"""Exercise 21, solved.

Run: backfill -s 2024-01-01 -e 2024-01-02
Editions: 3
Why: You mended a retry that was missing, a task that took today for its logical date, and a trigger
  rule. With a fault in front, the faults after it are upstream_failed and have no log, so it takes
  one run for each. The third fault was the worst one. Nothing failed, the exit code was 0, and no
  report was there. Only skipped, and the files that were not written, told you. So look at all
  numbers of the line, and at what the DAG was to write.

Prediction:
  finished run 2 of 2 | tasks waiting: 0 | succeeded: 10 | running: 0
  failed: 0 | skipped: 2 | deadlocked: 0 | not ready: 0
  exit code: 0
  tries of fetch: 4
  lines in paid-*.txt: 7
  files report-*.txt: 2
"""

from datetime import datetime, timedelta
from pathlib import Path

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import BranchPythonOperator
from airflow.sdk import DAG

HERE = Path(__file__).resolve().parent


def which(ds):
    """Return the id of the task that is to run next: up to four orders fit into the small truck."""
    orders = (HERE / f"paid-{ds}.txt").read_text().splitlines()
    return "large_truck" if len(orders) > 4 else "small_truck"


with DAG(
    "capstone",
    schedule="@daily",
    start_date=datetime(2024, 1, 1),
    catchup=False,
    default_args={"cwd": str(HERE), "retry_delay": timedelta(seconds=2)},
):
    # Three orders on 1 January, and six on 2 January. The server is busy at the first try.
    fetch = BashOperator(
        task_id="fetch",
        bash_command="""
            [ {{ ti.try_number }} -gt 1 ] || { echo 'The server is busy, try again.'; exit 1; }
            seq {{ 3 * logical_date.day }} > orders-{{ ds }}.txt
        """,
        retries=1,
    )
    # Leave out order 2 of the day.
    clean = BashOperator(
        task_id="clean", bash_command="grep -v 2 orders-{{ ds }}.txt > paid-{{ ds }}.txt"
    )
    choose = BranchPythonOperator(task_id="choose", python_callable=which)
    small = BashOperator(task_id="small_truck", bash_command="echo loading the small truck")
    large = BashOperator(task_id="large_truck", bash_command="echo loading the large truck")
    # A report for each day, whichever truck it was.
    report = BashOperator(
        task_id="report",
        bash_command="wc -l < paid-{{ ds }}.txt > report-{{ ds }}.txt",
        trigger_rule="none_failed_min_one_success",
    )

    fetch >> clean >> choose >> [small, large] >> report
