"""Exercise 21. What to do is in exercises/21-capstone/README.md.

Run: backfill -s 2024-01-01 -e 2024-01-02

My prediction:
  finished run ? of ? | tasks waiting: 0 | succeeded: ? | running: 0
  failed: ? | skipped: ? | deadlocked: ? | not ready: ?
  exit code: ?
  tries of fetch: ?
  lines in paid-*.txt: ?
  files report-*.txt: ?
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
    )
    # Leave out order 2 of the day.
    clean = BashOperator(
        task_id="clean", bash_command="grep -v 2 orders-$(date +%F).txt > paid-{{ ds }}.txt"
    )
    choose = BranchPythonOperator(task_id="choose", python_callable=which)
    small = BashOperator(task_id="small_truck", bash_command="echo loading the small truck")
    large = BashOperator(task_id="large_truck", bash_command="echo loading the large truck")
    # A report for each day, whichever truck it was.
    report = BashOperator(
        task_id="report",
        bash_command="wc -l < paid-{{ ds }}.txt > report-{{ ds }}.txt",
    )

    fetch >> clean >> choose >> [small, large] >> report
