"""dag_test as it was written in 2019; dags/dag_example.py is the same for Airflow 2 and 3.

What has changed since: where BashOperator comes from, and its new arguments cwd and append_env;
schedule_interval is now schedule; `with DAG(...) as dag:` has made dag=dag needless.
"""

from datetime import datetime

from airflow import DAG
from airflow.operators.bash_operator import BashOperator

# A command starts in a folder of /tmp. The project is three folders above this one of Airflow's.
PROJECT = 'cd "$AIRFLOW_HOME/../../.." && '

dag = DAG(
    "dag_test",
    description="Eleven nested regressions of fuel economy, ever richer: when do they overfit?",
    schedule_interval="@daily",
    start_date=datetime(2019, 1, 1),
    catchup=False,
)

get_data = BashOperator(
    task_id="get_data",
    bash_command=PROJECT + "python pipeline/get_data.py results/1.10/{{ ds }}/auto-mpg.data",
    dag=dag,
)
run_regression = BashOperator(
    task_id="run_regression",
    bash_command=PROJECT
    + "python regress.py --data results/1.10/{{ ds }}/auto-mpg.data --out results/1.10/{{ ds }}",
    dag=dag,
)
print_results = BashOperator(
    task_id="print_results",
    bash_command=PROJECT + "python pipeline/print_results.py results/1.10/{{ ds }}",
    dag=dag,
)

get_data >> run_regression >> print_results
