"""dag_test: download a data set, fit eleven regressions to it, print how well they did.

The same file runs on Airflow 2.11 and on Airflow 3. To see that Python accepts it,
run it by hand (`bin/sandbox python dags/dag_example.py`): it creates the DAG and ends
without a word.
"""

import os
import shlex
import sys
from datetime import datetime
from pathlib import Path

from airflow import DAG
from airflow.providers.standard.operators.bash import BashOperator

# Nothing here depends on who runs it or from where: the project is found from this file, the
# interpreter is the one that Airflow itself runs on, and only the edition comes from outside.
PROJECT = shlex.quote(str(Path(__file__).resolve().parent.parent))
PYTHON = shlex.quote(sys.executable)

# Airflow fills in {{ ds }}, the logical date of the DAG run, when it runs the task. So every
# DAG run has a folder of its own, and the runs of a backfill never meet in one file. The tasks hand
# files to each other: on several machines, in the folder that they share.
RESULTS = Path(os.environ.get("SHARED", ""), "results", os.environ.get("EDITION", "3"))
RUN = shlex.quote(str(RESULTS)) + "/{{ ds }}"

with DAG(
    dag_id="dag_test",
    description="Eleven nested regressions of fuel economy, ever richer: when do they overfit?",
    schedule="@daily",
    start_date=datetime(2019, 1, 1),
    catchup=False,  # do not run the days since 2019 all by itself; a backfill names its own days
    doc_md=__doc__,
) as dag:
    get_data = BashOperator(
        task_id="get_data",
        # Results of an earlier DAG run must not pass for this one's.
        bash_command=f"cd {PROJECT} && {PYTHON} pipeline/get_data.py"
        f" --since '{{{{ dag_run.start_date }}}}' {RUN}/auto-mpg.data",
    )
    run_regression = BashOperator(
        task_id="run_regression",
        bash_command=f"cd {PROJECT} && {PYTHON} regress.py --data {RUN}/auto-mpg.data --out {RUN}",
    )
    print_results = BashOperator(
        task_id="print_results",
        bash_command=f"cd {PROJECT} && {PYTHON} pipeline/print_results.py {RUN}",
    )

    get_data >> run_regression >> print_results
