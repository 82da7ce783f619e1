"""Exercise 13. What to do is in exercises/13-sensor/README.md.

Run: connections add fs_default --conn-type fs
Run: backfill -s 2024-01-01 -e 2024-01-01

My prediction:
  finished run ? of ? | tasks waiting: 0 | succeeded: ? | running: 0
  failed: ? | skipped: ? | deadlocked: ? | not ready: ?
  exit code: ?
  most running at once: ?
  files ready.txt: ?
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
    )
    use = BashOperator(task_id="use", cwd=str(HERE), bash_command="cat ready.txt")
    wait >> use

    # This one writes the file.
    BashOperator(task_id="write", cwd=str(HERE), bash_command="echo ready > ready.txt")
