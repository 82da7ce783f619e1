"""bin/sandbox and libexec/step: nothing of the user's leaks in, nothing is hidden."""

import json
import os
import re

from support.checkouts import PROJECT

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


DOTENV = """\ufeff# comment
export PLAIN = a b # comment
DOUBLE="x\\n\\"#y" # comment
SINGLE='{"a": "$HOME `true`"}'
EMPTY=
AIRFLOW_VAR_COLOUR=red
HOME=/elsewhere
SHARED=/elsewhere\r
LAST=z"""


def test_what_tasks_need_comes_by_airflows_variables_and_from_the_file_env(finished):
    file = finished.path / ".env"
    file.write_bytes(DOTENV.encode())
    ours = {"AIRFLOW_VAR_COLOUR": "blue", "AIRFLOW_CONN_X": "a\nb", "UV_DEFAULT_INDEX": "http://m/"}
    outcome = finished.run("bin/sandbox", *SHOW, env={**os.environ, **ours, "SHARED": "/elsewhere"})
    seen = json.loads(outcome.stdout)
    wanted = {**ours, "PIP_INDEX_URL": "http://m/", "PLAIN": "a b", "DOUBLE": 'x\n"#y', "LAST": "z"}
    assert seen.items() >= {**wanted, "SINGLE": '{"a": "$HOME `true`"}', "EMPTY": ""}.items()
    assert "/elsewhere" not in seen.values()
    for line in "no pair", "A='open", 'A="x" y', "AIRFLOW__CORE__DAGS_FOLDER=/elsewhere":
        file.write_text(f"A=1\n{line}\n")
        for command in ["make", "list-dags"], ["bin/sandbox", "true"]:
            outcome = finished.run(*command)
            assert outcome.returncode == 2
            assert re.match(r"(check-input|sandbox): \.env:2: .*\n(make|$)", outcome.stderr)
    file.unlink()


def test_by_a_link_too_pip_and_uv_are_those_of_the_environment(finished, tmp_path):
    (tmp_path / "link").symlink_to(finished.path / "bin")
    (tmp_path / "sandbox").symlink_to("link/sandbox")
    places = finished.run(tmp_path / "sandbox", "bash", "-c", "type -aP pip; type -aP pip3").stdout
    assert f"{finished.path}/libexec/path/pip\n" in places
    assert f"{finished.path}/libexec/path/pip3\n" in places
    for command in ["uv", "pip"], ["libexec/path/pip"]:
        listed = finished.run("bin/sandbox", *command, "show", "apache-airflow").stdout
        assert f"Location: {finished.base}/env/" in listed or str(PROJECT) in listed


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
