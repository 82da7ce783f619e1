"""Exercise 11, solved.

Run: backfill -s 2024-01-01 -e 2024-01-02
Editions: 3
Log of report of 2024-01-01: 12 stations have been measured.
Why: expand makes a task instance for each item of the list, when the list is known. The line
  counts each of them: 1 + 12 + 1 on 1 January. On 2 January measure fails for one station alone,
  the other eleven succeed, and report can't run, as its rule is that all of them succeed. That
  makes 14 + 12 succeeded, and 2 failed. Each mapped instance has a number, map_index, and a log
  of its own.

Prediction:
  finished run 2 of 2 | tasks waiting: 0 | succeeded: 26 | running: 0
  failed: 2 | skipped: 0 | deadlocked: 0 | not ready: 0
  exit code: 1
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

    report(measure.expand(station=stations()))
