"""What NAME is for, in a sentence."""

import pendulum
from airflow.sdk import dag, task


@dag(
    schedule="@daily",
    start_date=pendulum.datetime(2024, 1, 1, tz="UTC"),
    catchup=False,
    default_args={"owner": "me"},
    tags=["mine"],
)
def NAME():
    @task
    def extract(logical_date=None):
        return [logical_date.day, 10, 20]

    @task
    def load(numbers):
        total = sum(numbers)
        print(f"The total is {total}.")
        return total

    load(extract())


NAME()
