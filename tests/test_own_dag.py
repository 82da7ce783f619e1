"""A DAG of one's own, from make new-dag to its tests in a CI job."""

import os
import re
import shutil
import xml.etree.ElementTree as ElementTree

import pytest
import yaml
from support.checkouts import read_until

pytestmark = [pytest.mark.xdist_group("own DAG"), pytest.mark.slow]


@pytest.fixture(scope="module")
def checkout(new_checkout):
    """A Checkout with a DAG that make new-dag has written; what that printed is in .new."""
    checkout = new_checkout()
    checkout.new = checkout.succeed("new-dag", "NAME=sales")
    checkout.dag = checkout.path / "dags/sales.py"
    checkout.original = checkout.dag.read_text()
    return checkout


def verify(checkout, text):
    """Return the outcome of the DAG's tests with another text of its file."""
    checkout.dag.write_text(text)
    return checkout.run("bash", "-c", "make verify DAG=sales 2>&1")


def test_a_new_dag_runs_as_it_is_and_what_its_tasks_printed_is_shown(checkout):
    commands = re.findall(r"make (?:backfill|verify) .*", checkout.new)
    assert commands == ["make backfill DAG=sales DATE=2024-01-02", "make verify DAG=sales"]
    printed = checkout.succeed(*commands[0].split()[1:])
    assert "| succeeded: 2 | running: 0 | failed: 0 |" in printed
    assert "make logs DAG=sales (the files: .sandbox/3/airflow/logs/dag_id=sales)" in printed
    make = checkout.start("make", "backfill", "DAG=sales", "DATE=2024-01-01")
    read_until(make, "running: 1")
    assert "The total is 32" in checkout.succeed("logs", "DAG=sales")  # and not "at work"
    assert "finished run 1 of 1" in make.communicate()[0]
    shown = checkout.succeed("logs", "DAG=sales")
    assert re.findall(r"The total is (\d+)", shown) == ["31", "32"]  # the newest run first
    assert "{" not in shown
    one = checkout.succeed("logs", "DAG=sales", "DATE=2024-01-02", "TASK=load")
    head = "== backfill__2024-01-02T00:00:00+00:00, load: success\n"
    assert one.startswith(head) and one.count("==") == 1 and "The total is 32.\n" in one
    none = checkout.make("logs", "DAG=sales", "DATE=2024-02-01")
    assert none.returncode == 2 and none.stdout == ""
    assert "no log of any task of sales from 2024-02-01 to 2024-02-01" in none.stderr
    none = checkout.make("logs", "DAG=sales", "TASK=lode")
    assert none.stderr.startswith("show-logs: sales has no task lode; these are: extract load\n")
    none = checkout.make("logs", "DAG=sale")
    assert none.stderr.startswith("show-logs: there is no DAG sale; to see which there are: ")


def test_an_import_error_and_a_cycle_turn_each_of_its_tests_red(checkout):
    line = checkout.original.splitlines().index("    load(extract())") + 1
    broken = checkout.original.replace("load(extract())", "load(extrat())")
    outcome = verify(checkout, broken)
    assert outcome.returncode == 2 and "= 3 failed in" in outcome.stdout, outcome.stdout
    said = f"dags/sales.py:{line}, in sales: NameError: name 'extrat' is not defined"
    assert outcome.stdout.count(said) >= 3
    assert "Traceback" not in outcome.stdout
    assert "verify: some tests failed, which are named above." in outcome.stdout

    circle = checkout.original.replace("load(extract())", "e = extract()\n    load(e) >> e")
    outcome = verify(checkout, circle)
    assert outcome.returncode == 2 and "= 3 failed in" in outcome.stdout, outcome.stdout
    assert re.search(r"dags/sales.py: .*Cycle detected in D\w+: sales", outcome.stdout)
    assert "Traceback" not in outcome.stdout


def test_a_wrong_number_turns_its_tests_red_with_the_log_of_the_task(checkout):
    wrong = checkout.original.replace(
        "    load(extract())",
        "    @task\n    def send(total):\n        import os, pathlib\n\n"
        '        os.makedirs(os.environ["RESULTS"], exist_ok=True)\n'
        '        pathlib.Path(os.environ["RESULTS"], "sent").touch()\n'
        "        raise ValueError(post.SHUT)\n\n"
        "    send(load(extract()))",
    )
    # Another file, which this one imports, and one with an error, which fails no test of this one.
    (checkout.path / "dags/post.py").write_text("SHUT = 'the post office is shut'\n")
    (checkout.path / "dags/other.py").write_text("from airflow.sdk import DAG as\n")
    outcome = verify(checkout, f"import post\n{wrong}")
    assert outcome.returncode == 2 and "= 2 failed, 1 passed in" in outcome.stdout, outcome.stdout
    assert re.search("^E +(AssertionError: )?assert '?failed", outcome.stdout, re.MULTILINE)
    assert re.search(r"failed=3\b", outcome.stdout)
    assert "task send of 2024-01-01 failed; .sandbox/3-tests/airflow/logs/" in outcome.stdout
    assert re.search(r"dags/sales.py:\d+, in send: ValueError: the post office", outcome.stdout)
    (checkout.path / "dags/other.py").unlink()
    assert outcome.stdout.count("[backfill progress]") == 1  # the last line, and not how it came
    assert (checkout.path / ".sandbox/3-tests/results/sent").exists()
    assert not (checkout.path / "results/3/sent").exists()


@pytest.mark.parametrize("name", ["9lives", "for", "my-dag", "task", "a/b"])
def test_what_can_be_no_name_is_refused_in_one_line(checkout, name):
    outcome = checkout.make("new-dag", f"NAME={name}")
    assert outcome.returncode == 2
    assert f"new-dag: NAME={name!r} can't be the name of" in outcome.stderr
    assert not (checkout.path / "dags" / f"{name}.py").exists()


def test_nothing_is_overwritten_and_no_dag_gets_a_twin(checkout):
    checkout.dag.write_text(checkout.original + "# mine\n")
    outcome = checkout.make("new-dag", "NAME=sales")
    assert outcome.returncode == 2
    assert "dags/sales.py is there already, and stays as it is" in outcome.stderr
    assert checkout.dag.read_text().endswith("# mine\n")
    assert "there is a DAG dag_test already" in checkout.make("new-dag", "NAME=dag_test").stderr
    none = checkout.make("verify", "DAG=dag_without_tests")
    assert none.returncode == 2 and "make new-dag NAME=dag_without_tests" in none.stderr
    assert "some tests failed" not in none.stderr
    assert "needs the id of the new DAG" in checkout.make("new-dag").stderr


def test_the_ci_jobs_to_copy_can_be_followed_step_by_step(checkout, tmp_path):
    page = (checkout.path / "docs/ci.md").read_text()
    github, gitlab = map(yaml.safe_load, re.findall(r"```yaml\n(.*?)```", page, re.DOTALL))
    steps = github["jobs"]["verify"]["steps"]
    cache = next(step["with"] for step in steps if "actions/cache" in step.get("uses", ""))
    upload = next(step["with"] for step in steps if "upload-artifact" in step.get("uses", ""))
    output = tmp_path / "output"
    variables = {**os.environ, **github["env"], "CI": "true", "GITHUB_OUTPUT": str(output)}

    def run(condition):
        """Run the steps of this condition; return the last exit code, and all that was printed."""
        printed, code = "", 0
        for step in steps:
            if "run" in step and step.get("if") == condition and code == 0:
                outcome = checkout.run("bash", "-ec", f"exec 2>&1; {step['run']}", env=variables)
                printed, code = printed + outcome.stdout, outcome.returncode
        return code, printed

    # Red: a changed result.
    checkout.dag.write_text(checkout.original.replace("sum(numbers)", "sum(numbers) + 1"))
    code, printed = run(None)
    assert code == 2 and "= 1 failed, 2 passed in" in printed, printed
    assert "assert 33 == 32" in printed
    assert run("failure()")[0] == 0
    for name in upload["path"].split():
        assert (checkout.path / name).stat().st_size > 0
    logs = checkout.run("tar", "-tf", "logs.tar.gz").stdout
    assert re.search("dag_id=sales/run_id=backfill.*/task_id=load/attempt=1.log", logs)
    assert re.fullmatch(r"version=Python 3\.\d+\.\d+\n", output.read_text())
    for name in re.findall("'(editions/.*?)'", cache["key"]):
        assert (checkout.path / name).exists()
    # Green: the next job has a new clone in the same place, and in it what was cached.
    checkout.run("tar", "-cf", str(tmp_path / "cache.tar"), cache["path"])
    shutil.rmtree(checkout.path / ".sandbox")
    checkout.run("tar", "-xf", str(tmp_path / "cache.tar"))
    checkout.dag.write_text(checkout.original)
    code, printed = run(None)
    assert code == 0 and "passed all tests of your DAGs" in printed, printed
    assert len(list(ElementTree.parse(checkout.path / "report.xml").iter("testcase"))) == 3
    assert checkout.processes() == []
    assert "Make the environment" not in printed
    # GitLab's job types the same.
    commands = [step["run"] for step in steps if step.get("run", "").startswith("make")]
    assert gitlab["dags"]["script"] == commands and gitlab["dags"]["variables"] == github["env"]
    assert gitlab["dags"]["after_script"] == [
        step["run"] for step in steps if "tar -c" in step.get("run", "")
    ]
    assert gitlab["dags"]["cache"]["paths"] == [cache["path"]]
