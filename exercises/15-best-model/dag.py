"""Exercise 15. What to do is in exercises/15-best-model/README.md.

Run: backfill -s 2024-01-01 -e 2024-01-01

My prediction:
  finished run ? of ? | tasks waiting: 0 | succeeded: ? | running: 0
  failed: ? | skipped: ? | deadlocked: ? | not ready: ?
  exit code: ?
"""

import shlex
import sys
from datetime import datetime
from pathlib import Path

from airflow import DAG
from airflow.providers.standard.operators.bash import BashOperator

HERE = Path(__file__).resolve().parent
PROJECT = str(HERE.parents[1])
PYTHON = shlex.quote(sys.executable)
RUN = shlex.quote(str(HERE)) + "/{{ ds }}"  # the folder of a day

with DAG("best_model", schedule="@daily", start_date=datetime(2024, 1, 1), catchup=False):
    get_data = BashOperator(
        task_id="get_data",
        cwd=PROJECT,
        bash_command=f"{PYTHON} pipeline/get_data.py {RUN}/auto-mpg.data",
    )
    run_regression = BashOperator(
        task_id="run_regression",
        cwd=PROJECT,
        bash_command=f"{PYTHON} regress.py --data {RUN}/auto-mpg.data --out {RUN}",
    )
    print_results = BashOperator(
        task_id="print_results",
        cwd=PROJECT,
        bash_command=f"{PYTHON} pipeline/print_results.py {RUN}",
    )

    get_data >> run_regression >> print_results
