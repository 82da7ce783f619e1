"""Exercise 13, solved.

Run: connections add fs_default --conn-type fs
Run: backfill -s 2024-01-01 -e 2024-01-01
Editions: 3
Why: A sensor is a task that waits. While it looks again and again it runs, and holds its place:
  here the only one, which write needed to make the file. With deferrable=True it gives the place
  back. A server of Airflow's, the triggerer, looks for all deferred tasks at once, and the line
  counts them as waiting. mode="reschedule" also gives the place back: the task ends, and runs
  again for each look.

Prediction:
  finished run 1 of 1 | tasks waiting: 0 | succeeded: 3 | running: 0
  failed: 0 | skipped: 0 | deadlocked: 0 | not ready: 0
  exit code: 0
  most running at once: 1
  files ready.txt: 1
"""

from datetime import datetime
from pathlib import Path

from airflow import DAG
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.sensors.filesystem import FileSensor

HERE = Path(__file__).resolve().parent

with DAG(
    "sensor",
    schedule="@daily",
    start_date=datetime(2024, 1, 1),
    catchup=False,
    max_active_tasks=1,  # a small machine: one task at a time
):
    # It looks for the file every three seconds, and fails after twelve seconds.
    wait = FileSensor(
        task_id="wait",
        filepath=str(HERE / "ready.txt"),
        poke_interval=3,
        timeout=12,
        deferrable=True,
    )
    use = BashOperator(task_id="use", cwd=str(HERE), bash_command="cat ready.txt")
    wait >> use

    # This one writes the file.
    BashOperator(task_id="write", cwd=str(HERE), bash_command="echo ready > ready.txt")
