"""Download a data set, fit eleven regressions to it, and print how well they did.

The data are 398 cars of 1970 to 1982. Each regression has one term more than the one before.
Compare the two errors in the log of `print_results`: where does another term stop helping?
"""

# Three shell commands, as in the tutorial of 2019: BashOperator runs a program in any language.
# For tasks that are Python functions, see TaskFlow in docs/your-own-dag.md.

from datetime import timedelta
from pathlib import Path

import pendulum
from airflow import DAG
from airflow.providers.standard.operators.bash import BashOperator

with DAG(
    dag_id="dag_test",
    description="Eleven nested regressions of fuel economy, ever richer: when do they overfit?",
    schedule="@daily",
    start_date=pendulum.datetime(2019, 1, 1, tz="UTC"),
    catchup=False,  # do not run the days since 2019 all by itself; a backfill names its own days
    tags=["tutorial"],
    doc_md=__doc__,
    default_args={
        "cwd": str(Path(__file__).resolve().parent.parent),
        # Airflow fills in the logical date, so each DAG run has a folder of its own. The command
        # gets it as $DAY, and $RESULTS from bin/sandbox, because of append_env.
        "env": {"DAY": "{{ ds }}"},
        "append_env": True,
        "execution_timeout": timedelta(minutes=5),
    },
) as dag:
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
