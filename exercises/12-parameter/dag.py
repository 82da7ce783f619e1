"""Exercise 12. What to do is in exercises/12-parameter/README.md.

Run: backfill -s 2024-01-01 -e 2024-01-01

My prediction:
  finished run ? of ? | tasks waiting: 0 | succeeded: ? | running: 0
  failed: ? | skipped: ? | deadlocked: ? | not ready: ?
  exit code: ?
"""

from datetime import datetime

from airflow.sdk import DAG, task

with DAG(
    "parameter",
    schedule="@daily",
    start_date=datetime(2024, 1, 1),
    catchup=False,
    params={"models": 3},
):

    @task
    def seeds(params):
        return list(range(params["models"]))

    @task
    def train(seed):
        print(f"Training a model with the seed {seed}.")

    train.expand(seed=seeds())
