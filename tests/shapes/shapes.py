"""Small DAGs of the shapes that learners write first, for Airflow 2.11 and 3.

tests/test_shapes.py backfills each for 2024-01-01 to 2024-01-03. It holds the last line and
the exit code against tests/shapes/expected.py.
"""

import multiprocessing
import time
from datetime import datetime, timedelta

import pendulum
from airflow import DAG

try:  # Airflow 3
    from airflow.providers.standard.operators.bash import BashOperator
    from airflow.providers.standard.operators.empty import EmptyOperator
    from airflow.providers.standard.operators.python import (
        BranchPythonOperator,
        PythonOperator,
        ShortCircuitOperator,
    )
    from airflow.providers.standard.sensors.date_time import DateTimeSensorAsync
    from airflow.providers.standard.sensors.python import PythonSensor
    from airflow.sdk import task, task_group
except ImportError:
    from airflow.decorators import task, task_group
    from airflow.operators.bash import BashOperator
    from airflow.operators.empty import EmptyOperator
    from airflow.operators.python import BranchPythonOperator, PythonOperator, ShortCircuitOperator
    from airflow.sensors.date_time import DateTimeSensorAsync
    from airflow.sensors.python import PythonSensor

DAILY = {"schedule": "@daily", "start_date": datetime(2019, 1, 1), "catchup": False}
NEW_YORK = pendulum.timezone("America/New_York")
SECOND_DAY = "{{ ds_nodash }} == 20240102"
FAILS_ON_THE_SECOND_DAY = f"exit $(( {SECOND_DAY} ))"


def bash(task_id, command="true", **options):
    return BashOperator(task_id=task_id, bash_command=command, **options)


with DAG("shape_plain", **DAILY):
    bash("a") >> bash("b")

with DAG("shape_fails", **DAILY):
    bash("a", FAILS_ON_THE_SECOND_DAY) >> bash("b") >> bash("c")

with DAG("shape_past", default_args={"depends_on_past": True}, **DAILY):
    bash("a", FAILS_ON_THE_SECOND_DAY) >> bash("b")

with DAG("shape_downstream", default_args={"wait_for_downstream": True}, **DAILY):
    bash("a") >> bash("b", FAILS_ON_THE_SECOND_DAY)

with DAG("shape_branch", **DAILY):
    branch = BranchPythonOperator(task_id="branch", python_callable=lambda: "left")
    branch >> [bash("left"), bash("right")]

with DAG("shape_short_circuit", **DAILY):
    stop = ShortCircuitOperator(task_id="stop", python_callable=lambda: False)
    stop >> bash("b") >> bash("c")

with DAG("shape_all_done", **DAILY):
    bash("a", FAILS_ON_THE_SECOND_DAY) >> bash("b", trigger_rule="all_done")

with DAG("shape_one_failed", **DAILY):
    bash("a", FAILS_ON_THE_SECOND_DAY) >> bash("b", trigger_rule="one_failed")

with DAG("shape_none_failed", **DAILY):
    [bash("a", "exit 99"), bash("b")] >> bash("c", trigger_rule="none_failed")

with DAG("shape_retry", default_args={"retries": 1, "retry_delay": timedelta(seconds=3)}, **DAILY):
    bash("a", "exit $(( {{ ti.try_number }} < 2 ))") >> bash("b")

with DAG(
    "shape_retries_used_up",
    default_args={"retries": 1, "retry_delay": timedelta(seconds=1)},
    **DAILY,
):
    bash("a", FAILS_ON_THE_SECOND_DAY) >> bash("b")

with DAG("shape_skip", **DAILY):
    bash("a") >> bash("b", "exit 99") >> bash("c")

with DAG("shape_mapped", **DAILY):
    mapped = BashOperator.partial(task_id="m").expand(bash_command=["true", "true", "true"])
    mapped >> EmptyOperator(task_id="z")

with DAG("shape_mapped_fails", **DAILY):
    mapped = BashOperator.partial(task_id="m").expand(
        bash_command=["true", "false", FAILS_ON_THE_SECOND_DAY]
    )
    mapped >> EmptyOperator(task_id="z")

with DAG("shape_mapped_none", **DAILY):

    @task
    def numbers():
        return []

    @task
    def double(number):
        return 2 * number

    double.expand(number=numbers())

with DAG("shape_mapped_group", **DAILY):

    @task_group
    def group(number):
        bash("x") >> bash("y")

    group.expand(number=[1, 2])

with DAG("shape_group", **DAILY):

    @task_group
    def both():
        bash("x") >> bash("y")

    bash("a") >> both() >> bash("z")

with DAG("shape_setup_teardown", **DAILY):
    setup = bash("setup").as_setup()
    work = bash("work", FAILS_ON_THE_SECOND_DAY)
    setup >> work >> bash("teardown").as_teardown(setups=setup)

with DAG("shape_taskflow", **DAILY):

    @task
    def one():
        return 1

    @task
    def check(number):
        assert number == 1

    check(one())

with DAG("shape_sensor_poke", **DAILY):
    PythonSensor(task_id="s", python_callable=lambda: True, mode="poke", poke_interval=1) >> bash(
        "a"
    )

with DAG("shape_sensor_reschedule", **DAILY):
    PythonSensor(
        task_id="s",
        python_callable=lambda ti: ti.xcom_pull(task_ids="t") == "ready",
        mode="reschedule",
        poke_interval=1,
    ) >> bash("a")
    bash("t", "sleep 1; echo ready")

with DAG("shape_sensor_times_out", **DAILY):
    PythonSensor(
        task_id="s", python_callable=lambda: False, mode="poke", poke_interval=1, timeout=2
    ) >> bash("a")

with DAG("shape_sensor_soft_fail", **DAILY):
    PythonSensor(
        task_id="s",
        python_callable=lambda: False,
        poke_interval=1,
        timeout=2,
        soft_fail=True,
    ) >> bash("a")

with DAG("shape_deferred", **DAILY):
    soon = "{{ (macros.datetime.utcnow() + macros.timedelta(seconds=3)).isoformat() }}+00:00"
    DateTimeSensorAsync(task_id="w", target_time=soon) >> bash("a")

with DAG("shape_pool", **DAILY):
    [bash(name, pool="default_pool", pool_slots=64) for name in "abc"]

with DAG("shape_no_pool", **DAILY):
    bash("a", pool="no_such_pool")

with DAG("shape_one_at_a_time", max_active_tasks=1, max_active_runs=1, **DAILY):
    [bash(name) for name in "abc"]

with DAG("shape_task_times_out", **DAILY):
    PythonOperator(
        task_id="a",
        python_callable=lambda: __import__("time").sleep(60),
        execution_timeout=timedelta(seconds=1),
    ) >> bash("b")

with DAG("shape_run_times_out", dagrun_timeout=timedelta(seconds=5), **DAILY):
    bash("a", "sleep 20") >> bash("b")

with DAG("shape_weekly", **{**DAILY, "schedule": "@weekly"}):
    bash("a")

with DAG("shape_unscheduled", **{**DAILY, "schedule": None}):
    bash("a")

with DAG("shape_six", **{**DAILY, "schedule": "0 6 * * *"}):
    bash("a")

with DAG("shape_new_york", **{**DAILY, "start_date": datetime(2019, 1, 1, tzinfo=NEW_YORK)}):
    bash("a")

with DAG("shape_own_processes", **DAILY):
    # Their command has Airflow's name of its workers; others end in --multiprocessing-fork.
    bash("word", "echo LocalExecutor; sleep 2; true")

    @task
    def spawn():
        process = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(2,))
        process.start()
        process.join()
        assert process.exitcode == 0

    spawn()

with DAG("shape_hourly", **{**DAILY, "schedule": "@hourly"}):
    bash("a")
