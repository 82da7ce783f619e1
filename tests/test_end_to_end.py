"""The promise of the kit: `make all` ends in the tutorial's line, and the numbers are right.

These tests hold for every edition: pytest --edition 2 runs them on Airflow 2.
"""

import csv
import os
import re

from support.guarantees import guarantee
from support.lines import GOLDEN, all_succeeded, progress, results_of, verbs


def test_make_all_leaves_the_golden_results_and_the_picture(finished):
    printed, folder = finished.all.stdout, results_of(finished)
    assert finished.all.returncode == 0, printed
    assert progress(printed)[-1] == all_succeeded()
    assert (folder / "results.csv").read_bytes() == GOLDEN.read_bytes()
    picture = folder / "bias_variance.png"
    assert picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    with open(GOLDEN, newline="") as file:
        rows = list(csv.DictReader(file))
    train, test = ([float(row[name]) for row in rows] for name in ("train_mse", "test_mse"))
    assert train == sorted(train, reverse=True) and test.index(min(test)) + 1 == 7
    shown = printed.partition("Show the results")[2]
    assert all(f"{error:.5f}" in shown for error in train + test)
    assert f"Picture: {picture.relative_to(finished.path)}\n" in shown
    logs = [path for path in finished.home.rglob("*.log") if "print_results" in str(path)]
    assert any("bias_variance.png" in path.read_text() for path in logs)


def test_each_step_announces_its_command_and_the_dag_and_its_tasks_are_listed(finished):
    announced = re.findall(
        r"^\$ (?:AIRFLOW_SANDBOX=\S+ )?bin/sandbox (?:libexec/supervise )?(.*)",
        finished.all.stdout,
        re.MULTILINE,
    )
    commands = verbs(finished.edition)
    assert {"INITDB", "LIST_DAGS", "LIST_TASKS"} <= commands.keys()
    for command in commands.values():
        assert any(line.startswith(command) for line in announced), command
    assert any(line.endswith("/dag_example.py") for line in announced)
    for listed in (r"dag_test\b", "get_data$", "run_regression$", "print_results$"):
        assert re.search(rf"^{listed}", finished.all.stdout, re.MULTILINE)


def test_each_day_of_a_range_runs(finished):
    outcome = finished.run("bash", "-c", "make backfill START=2024-03-01 END=2024-03-02 2>&1")
    assert outcome.returncode == 0, outcome.stdout
    assert progress(outcome.stdout)[-1] == all_succeeded(runs=2)
    for day in "2024-03-01", "2024-03-02":
        assert (results_of(finished, day) / "results.csv").read_bytes() == GOLDEN.read_bytes()


# Variables of other programs, and what tells these where to write.
OF_OTHERS = """DAG DAGS DATE START END N V PORT DB DB_URL EXECUTOR SHARED LISTEN BROKER_URL API_URL
    OPTIONS DATA_URL PYTHON CONDA RESULTS STATE BASE GIT_DIR GIT_WORK_TREE PIP_TARGET PIP_PREFIX
    PYTHONUSERBASE UV_CACHE_DIR UV_PYTHON UV_TARGET UV_PROJECT_ENVIRONMENT MAMBA_ROOT_PREFIX
    XDG_CACHE_HOME XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME MPLCONFIGDIR CONDA_PKGS_DIRS"""
HOSTILE = {
    "AIRFLOW_HOME": "/elsewhere",
    "AIRFLOW__CORE__DAGS_FOLDER": "/elsewhere",
    "PYTHONPATH": "/elsewhere",
    "VIRTUAL_ENV": "/elsewhere",
    "CONDA_PREFIX": "/elsewhere",
    "HOME": "/elsewhere",
    "TZ": "Asia/Tokyo",
    "LC_ALL": "xx_YY",
    "http_proxy": "http://127.0.0.1:1",
    "https_proxy": "http://proxy:port",
    "ALL_PROXY": "socks5://127.0.0.1:1",
    "all_proxy": "socks://127.0.0.1:1",
    "no_proxy": "localhost,[::1],fe80::/10,::1",
    "PYTHONHOME": "/elsewhere",
    **dict.fromkeys(OF_OTHERS.split(), "/elsewhere"),
    "SHELLOPTS": "braceexpand:noclobber:noglob",
    "BASH_FUNC_cat%%": "() { echo a cat of mine; }",
    "POSIXLY_CORRECT": "1",
    "TMPDIR": "/elsewhere",
}


@guarantee(
    "The place",
    "proxies, locales, start-up files and Python variables that Airflow can't work with",
    "they don't reach Airflow",
)
def test_a_second_make_all_runs_the_tasks_but_not_the_set_up(finished):
    (results_of(finished) / "results.csv").unlink()
    hostile = {**os.environ, **HOSTILE, "BASH_ENV": str(finished.path.with_name("bash_env"))}
    finished.path.with_name("bash_env").write_text("echo 'Welcome back'; cd /\n")
    around = set(finished.path.parent.iterdir())
    outcome = finished.make("-j8", "all", env=hostile, umask=0o077)
    assert "repaired" not in outcome.stdout
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert progress(outcome.stdout)[-1] == all_succeeded()
    # It is there again, so this was no earlier success.
    assert (results_of(finished) / "results.csv").read_bytes() == GOLDEN.read_bytes()
    assert "List the DAGs" in outcome.stdout
    for step in ("Make the environment", "airflow.cfg\n", "Set up the metadata database"):
        assert f"== {step}" not in outcome.stdout
    assert not os.path.exists("/elsewhere")
    assert set(finished.path.parent.iterdir()) == around
    assert finished.processes() == []
