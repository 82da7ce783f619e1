"""Exercise 10. What to do is in exercises/10-xcom/README.md.

Run: backfill -s 2024-01-01 -e 2024-01-01

My prediction:
  finished run ? of ? | tasks waiting: 0 | succeeded: ? | running: 0
  failed: ? | skipped: ? | deadlocked: ? | not ready: ?
  exit code: ?
"""

from datetime import datetime

from airflow.sdk import DAG, task

PRICES = []

with DAG("xcom", schedule="@daily", start_date=datetime(2024, 1, 1), catchup=False):

    @task
    def fetch():
        PRICES.extend([3, 4, 5])

    @task
    def total():
        print(f"The total is {sum(PRICES)}.")

    fetch() >> total()
