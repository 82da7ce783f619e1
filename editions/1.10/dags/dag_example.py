"""dag_test as it was written in 2019; dags/dag_example.py is the same for Airflow 2 and 3.

What has changed since: where BashOperator comes from, schedule_interval is now schedule, and
the DAG's context (`with DAG(...) as dag:`) has made dag=dag needless.
"""

import shlex
import sys
from datetime import datetime
from pathlib import Path

from airflow import DAG
from airflow.operators.bash_operator import BashOperator

PROJECT = shlex.quote(str(Path(__file__).resolve().parents[3]))
PYTHON = shlex.quote(sys.executable)
RUN = "results/1.10/{{ ds }}"

dag = DAG(
    "dag_test",
    description="Eleven nested regressions of fuel economy, ever richer: when do they overfit?",
    schedule_interval="@daily",
    start_date=datetime(2019, 1, 1),
    catchup=False,
)

get_data = BashOperator(
    task_id="get_data",
    # Results of an earlier DAG run must not pass for this one's.
    bash_command=f"cd {PROJECT} && {PYTHON} pipeline/get_data.py"
    f" --since '{{{{ dag_run.start_date }}}}' {RUN}/auto-mpg.data",
    dag=dag,
)
run_regression = BashOperator(
    task_id="run_regression",
    bash_command=f"cd {PROJECT} && {PYTHON} regress.py --data {RUN}/auto-mpg.data --out {RUN}",
    dag=dag,
)
print_results = BashOperator(
    task_id="print_results",
    bash_command=f"cd {PROJECT} && {PYTHON} pipeline/print_results.py {RUN}",
    dag=dag,
)

get_data >> run_regression >> print_results
