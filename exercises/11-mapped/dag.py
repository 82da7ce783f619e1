"""Exercise 11. What to do is in exercises/11-mapped/README.md.

Run: backfill -s 2024-01-01 -e 2024-01-02

My prediction:
  finished run ? of ? | tasks waiting: 0 | succeeded: ? | running: 0
  failed: ? | skipped: ? | deadlocked: ? | not ready: ?
  exit code: ?
"""

from datetime import datetime

from airflow.sdk import DAG, task

with DAG("mapped", schedule="@daily", start_date=datetime(2024, 1, 1), catchup=False):

    @task
    def stations():
        return list(range(1, 13))

    @task
    def measure(station, ds=None):
        if station == 7 and ds == "2024-01-02":
            raise ValueError("Station 7 is out of order")
        return station

    @task
    def report(values):
        print(f"{len(list(values))} stations have been measured.")

    report(measure(stations()))
