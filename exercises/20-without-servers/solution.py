"""Exercise 20, solved.

Run: backfill -s 2024-01-01 -e 2024-01-05
Editions: 3
Log of report of 2024-01-02: The mean is 3.5.
Why: A function that needs nothing of Airflow is checked in no time, and such checks find what no
  state of a task shows: that a result is wrong. (With pytest they would be functions test_... in a
  file of their own.) dag.test() runs all tasks of a DAG run in one process, one after the other,
  in which a debugger can stop. It asks neither the schedule nor pools. So the backfill comes last.

Prediction:
  finished run 5 of 5 | tasks waiting: 0 | succeeded: 10 | running: 0
  failed: 0 | skipped: 0 | deadlocked: 0 | not ready: 0
  exit code: 0
"""

from datetime import datetime, timezone

from airflow.sdk import DAG, task

PRICES = {1: [2, 4], 2: [3, 4], 3: [], 4: [5], 5: [1, 2, 6]}  # by the day of the month


def mean(prices):
    """Return the mean of a list of prices, or 0 if nothing was sold."""
    return sum(prices) / len(prices) if prices else 0


with DAG("without_servers", schedule="@daily", start_date=datetime(2024, 1, 1)) as dag:

    @task
    def compute(logical_date):
        return mean(PRICES[logical_date.day])

    @task
    def report(result):
        print(f"The mean is {result}.")

    report(compute())


if __name__ == "__main__":
    assert mean([2, 4]) == 3
    assert mean([3, 4]) == 3.5, mean([3, 4])
    assert mean([]) == 0
    dag.test(logical_date=datetime(2024, 1, 2, tzinfo=timezone.utc))
