"""Exercise 10, solved.

Run: backfill -s 2024-01-01 -e 2024-01-01
Editions: 3
Returns: fetch
Log of total of 2024-01-01: The total is 12.
Why: Each task instance is a process of its own, often on another machine. What fetch puts in a
  variable of the file is gone when it ends, and total reads the file again. What a task returns is
  kept in the metadata database, as an XCom, and total(fetch()) hands it over and puts the tasks
  in order. XComs are for small things, such as numbers and the paths of files. A data frame
  belongs in a file.

Prediction:
  finished run 1 of 1 | tasks waiting: 0 | succeeded: 2 | running: 0
  failed: 0 | skipped: 0 | deadlocked: 0 | not ready: 0
  exit code: 0
"""

from datetime import datetime

from airflow.sdk import DAG, task

with DAG("xcom", schedule="@daily", start_date=datetime(2024, 1, 1), catchup=False):

    @task
    def fetch():
        return [3, 4, 5]

    @task
    def total(prices):
        print(f"The total is {sum(prices)}.")

    total(fetch())
