"""What has to be true of NAME; to run it: make verify DAG=NAME"""


def test_the_file_has_the_dag_and_its_tasks_are_in_order(load_dag):
    dag = load_dag("NAME")
    assert dag.tags == {"mine"}
    assert {task.owner for task in dag.tasks} == {"me"}
    assert dag.get_task("load").upstream_task_ids == {"extract"}


def test_the_total_of_a_day_is_right(run_dag):
    run = run_dag("NAME", "2024-01-02")
    assert run.state == "success"
    assert run.values["load"] == 32


def test_each_task_of_three_days_succeeds(backfill):
    line = backfill("NAME", "2024-01-01", "2024-01-03")
    assert line.succeeded == 6 and line.failed == 0
