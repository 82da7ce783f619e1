"""The control of the proof: with a DAG that is broken on purpose, it has to turn red."""

import re
import sys

from support.checkouts import break_task, dag_file


def test_on_a_broken_dag_the_proof_fails_and_shows_why(new_checkout, request):
    checkout = new_checkout()
    break_task(checkout, "run_regression", "echo the reason why; exit 7")
    dag_file(checkout).with_name("broken.py").write_text("from airflow import DAG as\n")
    proof = ["-m", "pytest", "-p", "no:xdist", "--edition", checkout.edition]
    proof += ["--installation", request.config.getoption("--installation")]
    proof += ["tests/test_end_to_end.py", "tests/test_dag.py", "-k", "golden or dags_folder"]
    tests = checkout.run(sys.executable, *proof)
    assert tests.returncode == 1
    assert "2 failed" in tests.stdout, tests.stdout
    assert re.search("dags/broken.py:1: SyntaxError", tests.stdout)
    # What make all printed, which is in the failed test's report.
    (*_, last) = re.findall(r"finished run 1 of 1 .*", tests.stdout)
    assert "| succeeded: 1 | running: 0 | failed: 2 |" in last
    if checkout.generation == "3":  # the backfills of the others show no task's log
        assert "the reason why" in tests.stdout
        (log,) = set(re.findall(r"run_regression of \S+ failed; (\S+) ends:", tests.stdout))
        assert re.fullmatch(
            rf"\.sandbox/{checkout.state.name}/airflow/logs/.*/attempt=\d\.log", log
        )
        assert "then run: make backfill" in tests.stdout
    assert checkout.processes() == []
