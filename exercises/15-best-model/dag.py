"""Exercise 15. What to do is in exercises/15-best-model/README.md.

Run: backfill -s 2024-01-01 -e 2024-01-01

My prediction:
  finished run ? of ? | tasks waiting: 0 | succeeded: ? | running: 0
  failed: ? | skipped: ? | deadlocked: ? | not ready: ?
  exit code: ?
"""

from datetime import datetime
from pathlib import Path

from airflow import DAG
from airflow.providers.standard.operators.bash import BashOperator

HERE = Path(__file__).resolve().parent

with DAG(
    "best_model",
    schedule="@daily",
    start_date=datetime(2024, 1, 1),
    catchup=False,
    default_args={
        "cwd": str(HERE.parents[1]),
        "env": {"DAY": "{{ ds }}", "RESULTS": str(HERE)},
        "append_env": True,
    },
):
    get_data = BashOperator(
        task_id="get_data",
        bash_command='python pipeline/get_data.py "$RESULTS/$DAY/auto-mpg.data"',
    )
    run_regression = BashOperator(
        task_id="run_regression",
        bash_command='python regress.py --data "$RESULTS/$DAY/auto-mpg.data" --out "$RESULTS/$DAY"',
    )
    print_results = BashOperator(
        task_id="print_results",
        bash_command='python pipeline/print_results.py "$RESULTS/$DAY"',
    )

    get_data >> run_regression >> print_results
