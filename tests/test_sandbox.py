"""bin/sandbox and libexec/step: nothing of the user's leaks in, nothing is hidden."""

import json
import os
import re

SHOW = ["python", "-c", "import json, os; print(json.dumps(dict(os.environ)))"]
HOSTILE = {
    "AIRFLOW_HOME": "/elsewhere",
    "AIRFLOW__CORE__DAGS_FOLDER": "/elsewhere",
    "AIRFLOW_CONFIG": "/elsewhere",
    "PYTHONPATH": "/elsewhere",
    "PYTHONHOME": "/elsewhere",
    "VIRTUAL_ENV": "/elsewhere",
    "CONDA_PREFIX": "/elsewhere",
    "TZ": "Asia/Tokyo",
    "LANG": "xx_YY",
    "LC_ALL": "xx_YY",
    "HOME": "/elsewhere",
    "BASH_ENV": "/elsewhere",
    "CDPATH": ".",
}


def test_a_command_sees_the_sandboxs_settings_and_none_of_the_users(finished):
    outcome = finished.run("bin/sandbox", *SHOW, env={**os.environ, **HOSTILE})
    seen = json.loads(outcome.stdout)
    assert not [name for name, value in seen.items() if value in HOSTILE.values()], seen
    assert seen["AIRFLOW_HOME"] == str(finished.home)
    assert seen["TZ"] == "UTC"


def test_without_an_environment_it_names_the_command_that_makes_one(new_checkout):
    checkout = new_checkout()
    (checkout.base / "env").unlink()
    outcome = checkout.run("bin/sandbox", "airflow", "version")
    assert outcome.returncode == 1
    assert "make env" in outcome.stderr


def test_without_a_command_it_prints_its_help(finished):
    outcome = finished.run("bin/sandbox")
    assert outcome.returncode == 2
    assert "Usage:   bin/sandbox" in outcome.stdout


def test_a_step_shows_its_command_and_returns_its_exit_code(finished):
    outcome = finished.run("libexec/step", "A title", "sh", "-c", "echo 'it''s out'; exit 3")
    assert outcome.returncode == 3
    assert re.search(r"== A title\n\$ (\w+=\S+ )?sh -c ", outcome.stdout)
    assert "it" in outcome.stdout
    assert "exit code 3" in outcome.stderr
    command = outcome.stdout.splitlines()[2].removeprefix("$ ")
    assert finished.run("bash", "-c", command).stdout == "its out\n"
