"""What Airflow 2.11's own backfill says of each DAG in shapes.py, and where Airflow 3 differs.

{name: {"line": the counts of the last progress line, or "" if there is none, "exit": exit code,
"says": what our output on Airflow 3 has, "days": of the backfill, if not those in test_shapes.py,
"airflow3": what differs there, and "why"}}. The counts are those of the line, in its order:
finished runs, runs, waiting, succeeded, running, failed, skipped, deadlocked, not ready.
"""

WHOLE_DAYS = (
    "A day is all of it, in the time zone of the schedule. For 2.11, the last one is its first"
    " second, and in UTC."
)
EXPECTED = {
    "shape_plain": {
        "line": "3 3 0 6 0 0 0 0 0",
        "exit": 0,
    },
    "shape_fails": {
        "line": "3 3 0 6 0 3 0 0 0",
        "exit": 1,
    },
    "shape_past": {
        "line": "2 3 0 2 0 2 0 2 2",
        "exit": 1,
        "says": "nothing that is left can ever run: a of 2024-01-03: depends_on_past is true",
    },
    "shape_downstream": {
        "line": "2 3 0 3 0 1 0 2 2",
        "exit": 1,
        "says": "nothing that is left can ever run: a of 2024-01-03",
    },
    "shape_branch": {
        "line": "3 3 0 6 0 0 3 0 0",
        "exit": 0,
    },
    "shape_short_circuit": {
        "line": "3 3 0 3 0 0 6 0 0",
        "exit": 0,
    },
    "shape_all_done": {
        "line": "3 3 0 5 0 1 0 0 0",
        "exit": 1,
    },
    "shape_one_failed": {
        "line": "3 3 0 3 0 1 2 0 0",
        "exit": 1,
    },
    "shape_none_failed": {
        "line": "3 3 0 6 0 0 3 0 0",
        "exit": 0,
    },
    "shape_retry": {
        "line": "3 3 0 6 0 0 0 0 0",
        "exit": 0,
        "says": "a of 2024-01-01 failed (try 1 of 2) and will be tried again",
    },
    "shape_retries_used_up": {
        "line": "3 3 0 4 0 2 0 0 0",
        "exit": 1,
    },
    "shape_skip": {
        "line": "3 3 0 3 0 0 6 0 0",
        "exit": 0,
    },
    "shape_mapped": {
        "line": "3 3 0 12 0 0 0 0 0",
        "exit": 0,
    },
    "shape_mapped_fails": {
        "line": "3 3 0 5 0 7 0 0 0",
        "exit": 1,
        "says": "task m[1] of 2024-01-01 failed",
    },
    "shape_mapped_none": {
        "line": "3 3 0 3 0 0 0 0 3",
        "exit": 0,
        "airflow3": {
            "line": "3 3 0 3 0 0 3 0 0",
            "why": "A task that is mapped over nothing is skipped."
            " Airflow 2.11 ends while it still counts it as not ready.",
        },
    },
    "shape_mapped_group": {
        "line": "3 3 0 12 0 0 0 0 0",
        "exit": 0,
    },
    "shape_group": {
        "line": "3 3 0 12 0 0 0 0 0",
        "exit": 0,
    },
    "shape_setup_teardown": {
        "line": "3 3 0 8 0 1 0 0 0",
        "exit": 1,
    },
    "shape_taskflow": {
        "line": "3 3 0 6 0 0 0 0 0",
        "exit": 0,
    },
    "shape_sensor_poke": {
        "line": "3 3 0 6 0 0 0 0 0",
        "exit": 0,
    },
    "shape_sensor_reschedule": {
        "line": "3 3 0 9 0 0 0 0 0",
        "exit": 0,
    },
    "shape_sensor_times_out": {
        "line": "3 3 0 0 0 6 0 0 0",
        "exit": 1,
    },
    "shape_sensor_soft_fail": {
        "line": "3 3 0 0 0 0 6 0 0",
        "exit": 0,
    },
    "shape_deferred": {
        "line": "3 3 0 6 0 0 0 0 0",
        "exit": 0,
    },
    "shape_pool": {
        "line": "3 3 0 9 0 0 0 0 0",
        "exit": 0,
    },
    "shape_no_pool": {
        "line": "",
        "exit": 1,
        "says": "asks for the pool 'no_such_pool', which does not exist",
    },
    "shape_one_at_a_time": {
        "line": "3 3 0 9 0 0 0 0 0",
        "exit": 0,
    },
    "shape_task_times_out": {
        "line": "3 3 0 0 0 6 0 0 0",
        "exit": 1,
    },
    "shape_run_times_out": {
        "line": "3 3 0 6 0 0 0 0 0",
        "exit": 0,
        "airflow3": {
            "line": "3 3 0 0 0 0 6 0 0",
            "exit": 1,
            "says": "the DAG run of 2024-01-01 failed, and no task of it",
            "why": "When dagrun_timeout is over, the DAG run fails, and what is left is skipped."
            " The backfill of Airflow 2.11 ignores dagrun_timeout.",
        },
    },
    "shape_weekly": {
        "line": "",
        "exit": 1,
        "says": "the nearest day that has a run is 2023-12-31 (UTC): make backfill DAG=",
    },
    "shape_unscheduled": {
        "line": "",
        "exit": 1,
        "says": "has a non-periodic schedule",
    },
    "shape_six": {
        "line": "2 2 0 2 0 0 0 0 0",
        "exit": 0,
        "airflow3": {"line": "3 3 0 3 0 0 0 0 0", "why": WHOLE_DAYS},
    },
    "shape_hourly": {
        "line": "25 25 0 25 0 0 0 0 0",
        "exit": 0,
        "days": ("2024-01-01", "2024-01-02"),
        "airflow3": {"line": "48 48 0 48 0 0 0 0 0", "why": WHOLE_DAYS},
    },
    "shape_new_york": {
        "line": "2 2 0 2 0 0 0 0 0",
        "exit": 0,
        "airflow3": {"line": "3 3 0 3 0 0 0 0 0", "why": WHOLE_DAYS},
    },
    "shape_own_processes": {
        "line": "3 3 0 6 0 0 0 0 0",
        "exit": 0,
    },
}
