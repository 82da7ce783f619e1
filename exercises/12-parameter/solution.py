"""Exercise 12, solved.

Run: backfill -s 2024-01-01 -e 2024-01-01 --dag-run-conf '{"models": 10}'
Editions: 3
Leave: code
Why: params= in the file has the defaults. The configuration of a DAG run replaces them for that
  run alone, and is kept with it in the database, so you can see later what was run. In the web
  pages it is the form that opens when you trigger a DAG.

Prediction:
  finished run 1 of 1 | tasks waiting: 0 | succeeded: 11 | running: 0
  failed: 0 | skipped: 0 | deadlocked: 0 | not ready: 0
  exit code: 0
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
