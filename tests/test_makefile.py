"""The Makefile: its targets, what depends on what, what it refuses before it touches anything."""

import contextlib
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from support.checkouts import Checkout, dag_file
from support.guarantees import guarantee

MAKEFILE = Path(__file__).resolve().parent.parent / "Makefile"
PLUMBING = MAKEFILE.parent / "libexec/plumbing.mk"
NAMES = ["EDITION", "DAG", "DATE", "START", "END", "ENV_MANAGER", "CONDA", "PYTHON", "DATA_URL"]
ALL_DONE = ["env", "tools", "config", "initdb", "dags"]


@pytest.fixture(scope="module")
def checkout(new_checkout):
    return new_checkout()


@pytest.fixture
def done(checkout):
    """The checkout, as if all that a backfill needs had been done."""
    checkout.done(*ALL_DONE)  # first: what has no stamp is set aside
    checkout.home.mkdir(exist_ok=True)
    (checkout.home / "airflow.cfg").touch()
    with contextlib.closing(sqlite3.connect(checkout.home / "airflow.db")) as database:
        database.execute("CREATE TABLE IF NOT EXISTS alembic_version AS SELECT 1 AS version_num")
        database.execute("CREATE TABLE IF NOT EXISTS dag AS SELECT 'dag_test' AS dag_id")
    (checkout.home / "dags.stored").write_text("dag_test\n")
    return checkout


def plan(checkout, *arguments):
    """Return the titles of the steps that make would run, in order."""
    outcome = checkout.make("-n", *arguments)
    assert outcome.returncode == 0, outcome.stderr
    return re.findall(r'libexec/step "([^"]+)"', outcome.stdout)


def test_the_help_lists_every_target_and_every_variable(checkout):
    text = MAKEFILE.read_text() + PLUMBING.read_text()
    shown = checkout.make("help").stdout
    assert checkout.make().stdout == shown
    phony = set(re.findall(r"[\w-]+", " ".join(re.findall(r"^\.PHONY:(.*)", text, re.MULTILINE))))
    assert phony - {"claim", "begin", "preflight", "prerequisites", "tools", "test-env"} == set(
        re.findall(r"^  make ([\w-]+)", shown, re.MULTILINE)
    )
    variables = re.search(r"^VARIABLES := (.*\\\n.*)", text, re.MULTILINE)[1].split()
    assert {*variables} - {"\\"} == set(re.findall(r"^  (\w+)=", shown, re.MULTILINE))


def test_help_works_without_an_environment_and_makes_nothing(new_checkout, tmp_path):
    shutil.copy(MAKEFILE, tmp_path)
    for folder in "editions", "libexec":
        shutil.copytree(MAKEFILE.parent / folder, tmp_path / folder)
    outcome = subprocess.run(["make", "help"], cwd=tmp_path, capture_output=True, text=True)
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Makefile", "editions", "libexec"]


def test_all_runs_the_steps_in_the_order_of_the_tutorial(new_checkout):
    checkout = new_checkout()
    for name in "env", "tools":
        (checkout.state / f"{name}.done").unlink()
    assert plan(checkout, "-j8", "all") == [
        "Make the environment",
        "Let Airflow make its airflow.cfg",
        "Set dags_folder in it, and more",
        "Set up the metadata database",
        "Create the DAG",
        "Store the DAGs in the metadata database",
        "List the DAGs",
        "List the tasks of $DAG",
        "Run a backfill of $DAG",
        "Show the results",
    ]


def test_what_is_done_is_not_done_again_and_no_variable_is_undefined(done):
    assert "undefined" not in done.make("-n", "all", "verify", "lock", "bench", "clean").stderr
    assert plan(done, "env", "config", "initdb") == []
    assert plan(done, "backfill") == ["Run a backfill of $DAG"]


@pytest.mark.parametrize(
    ("changed", "steps"),
    [
        (
            "editions/3/requirements.txt",
            ["Make the environment", "Let Airflow make its airflow.cfg"],
        ),
        ("environment.yml", ["Make the environment", "Let Airflow make its airflow.cfg"]),
        ("editions/3/settings.cfg", ["Let Airflow make its airflow.cfg"]),
        ("dags/dag_example.py", ["Create the DAG"]),
        ("dags/new/another.py", ["Create the DAG"]),
        ("dags/dag_example (copy).py", ["Create the DAG"]),
        ("tables.yml", ["Create the DAG"]),  # any file that a DAG may be built from
        (".env", ["Create the DAG"]),
        ("my-requirements.txt", ["Make the environment", "Let Airflow make its airflow.cfg"]),
        ("results/3/2024-01-01/results.csv", []),
        ("dags/.dag_example.py.swp", []),
        ("dags/__pycache__/dag_example.cpython-314.pyc", []),
    ],
)
@pytest.mark.parametrize("dated", [0, 3e9], ids=["1970", "2065"])
def test_a_changed_file_brings_back_the_steps_that_depend_on_it(done, changed, steps, dated):
    """Whatever its date says: a copy may keep an old one, a zip have one that is still to come."""
    file = done.path / changed
    before = file.read_bytes() if file.exists() else None
    file.parent.mkdir(exist_ok=True, parents=True)
    file.write_bytes((before or b"") + b"\n# changed\n")
    os.utime(file, (dated, dated))
    assert done.make("begin").returncode == 0
    planned = plan(done, "list-dags")
    assert planned[-1] == "List the DAGs"
    assert [step for step in steps if step in planned] == steps
    assert planned[0] == [*steps, "List the DAGs"][0]
    if before is not None:  # as it was
        file.write_bytes(before)
        os.utime(file, (dated, dated))
        assert done.make("begin").returncode == 0
        assert plan(done, "list-dags") == ["List the DAGs"]


@guarantee(
    "The place",
    "a link in `dags/` to the checkout, to the whole disk, to itself or to nothing",
    "Airflow reads no folder twice: one line names the link; all else works",
)
def test_links_that_lead_in_a_circle_and_large_files_are_inputs_like_others(new_checkout):
    checkout = new_checkout()
    dags = dag_file(checkout).parent
    for name, target in ("itself", "itself"), ("nothing.py", "gone"), ("disk", "/"), ("me", "."):
        (dags / name).symlink_to(target)
    (checkout.path / "disk").symlink_to("/")
    if checkout.edition != "1.10":  # which follows it to the end
        outcome = checkout.make("list-dags")
        said = "store-dags: Airflow reads no folder twice, and a link leads to one again:"
        assert said in outcome.stderr and "Traceback" not in outcome.stderr
    (dags / "disk").unlink()
    large = checkout.path / "data/large.bin"
    inputs = checkout.state / "dags.inputs"
    seen = []
    for size in (11 << 20, 11 << 20, (11 << 20) + 1):
        large.write_bytes(bytes(size))
        os.utime(large, (0, 0))  # of large files, the size and the date count
        assert checkout.make("begin").stderr == ""
        seen.append(inputs.read_text())
    assert seen[0] == seen[1] != seen[2]


def test_a_step_that_is_to_be_repeated_but_was_not_yet_does_not_count_as_damaged(done):
    (done.home / "airflow.cfg").write_text("[core]\n")
    with (done.path / "editions/3/settings.cfg").open("a") as file:
        file.write("# changed\n")
    for _ in range(2):  # such as make env, and then make config
        outcome = done.make("begin")
        assert (outcome.returncode, outcome.stdout) == (0, "")
    (done.home / "airflow.cfg").write_text("what is this\n")
    assert "airflow.cfg is damaged" in done.make("begin").stdout


def test_a_python_given_after_the_environment_is_reported_as_unused(new_checkout):
    checkout = new_checkout()
    given = f"PYTHON={sys.executable}"
    outcome = checkout.make("env", given)
    assert outcome.returncode == 0
    assert (
        f"this is not used: ENV_MANAGER=auto CONDA= {given}; to make another one, first: rm -r"
        in (outcome.stdout)
    )
    assert "not used" not in checkout.make("env").stdout


@guarantee(
    "Input",
    "DATE, START, END: bad, reversed, no leap day, far past, future",
    "one line, exit code 2, nothing touched",
)
@guarantee(
    "Input",
    "EDITION, DAG, ENV_MANAGER, CONDA, PYTHON, DATA_URL, PORT, ROUNDS: unknown or malformed",
    "one line, exit code 2, nothing touched",
)
@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["DAG="], "DAG='' is not the id of a DAG"),
        (["DAG=a b"], "is not the id of a DAG"),
        (["DAG=../x"], "is not the id of a DAG"),
        (["OPTIONS=--dry-run\n"], "has more than one line"),
        (["DATE=yesterday"], "DATE=yesterday is not a day"),
        (["DATE=2025-02-29"], "not a day of the calendar"),
        (["DATE=1900-02-29"], "not a day of the calendar"),
        (["DATE=2025-00-10"], "not a day of the calendar"),
        (["DATE=2024-1-1"], "YYYY-MM-DD"),
        (["DATE=9999-12-31"], "in the future"),
        (["START=2024-02-02", "END=2024-02-01"], "is after"),
        (["DATE="], "is not a day"),
        (["DATE=2024-01-01; touch hacked"], "is not a day"),
        (["EDITION=9"], "is not an edition"),
        (["EDITION=*"], "is not an edition"),
        (["EDITION=3 2"], "is not an edition"),
        (["DATE=0001-01-01"], "not a day of the calendar"),
        (["ENV_MANAGER=pip"], "ENV_MANAGER=pip is unknown"),
        (["CONDA=/gone/conda"], "CONDA=/gone/conda is not a command"),
        (["PYTHON=python9"], "PYTHON=python9 is not a command"),
        (["DATA_URL=ftp://127.0.0.1/x"], "is not an http:// or https:// address"),
        (["DATA_URL=http://a/ b"], "is not an http:// or https:// address"),
        (["ROUNDS=0"], "ROUNDS=0 is not a number of rounds"),
        (["ROUNDS=100"], "ROUNDS=100 is not a number of rounds"),
        (["ROUNDS="], "ROUNDS='' is not a number of rounds"),
        (["EXECUTOR=kubernetes"], "EXECUTOR=kubernetes is unknown"),
        (["DB=mysql"], "DB=mysql is unknown"),
        (["EXECUTOR=celery", "DB=sqlite"], "needs a database that takes more than one writer"),
        (
            ["DB=postgres", "DB_URL=mysql://me:topsecret@a/b"],
            "DB_URL is not the address of a Postgres",
        ),
        (
            ["EXECUTOR=celery", "BROKER_URL=amqp://me:topsecret@a"],
            "not the address of a Redis or Valkey",
        ),
        (["EXECUTOR=celery", "WORKERS=many"], "WORKERS=many is not a number from 0 to 99"),
        (["MAX_ACTIVE_RUNS=0"], "MAX_ACTIVE_RUNS=0 is not a number from 1 to 9999"),
        (["LISTEN=192.168.1.10"], "LISTEN=192.168.1.10 is for EXECUTOR=celery"),
        (["EXECUTOR=celery", "LISTEN=0.0.0.0"], "is not one address of this machine"),
        (["EXECUTOR=celery", "LISTEN=::"], "is not one address of this machine"),
        (["EXECUTOR=celery", "LISTEN=10.0.0.1", "PORT=80"], "is not a port for other machines"),
        (["DAGS=gone"], "DAGS=gone is not a folder"),
        (["DAGS=."], "DAGS=. has this checkout in it"),
        (["SHARED=here"], "is not a path from the root"),
        (["SHARED=/a b"], "has a blank, a quote or a wildcard in it"),
        (["SHARED=/a`b"], "has a blank, a quote or a wildcard in it"),
        (["SHARED=/gone"], "is not a folder that you can write to"),
        (["date=2024-01-01"], "there is no variable date; make help lists them"),
        (["EDTION=2"], "there is no variable EDTION; make help lists them"),
    ],
)
def test_a_bad_variable_is_refused_in_one_line_before_anything_is_touched(
    new_checkout, arguments, reason
):
    checkout = new_checkout()
    before = sorted(checkout.path.rglob("*"))
    outcome = checkout.make("all", *arguments)
    assert outcome.returncode == 2
    assert reason in outcome.stderr.splitlines()[0]
    assert sorted(checkout.path.rglob("*")) == before


def test_below_another_make_only_a_variable_that_is_one_of_ours_is_refused(checkout, tmp_path):
    call = f"all:\n\t$(MAKE) -C '{checkout.path}' help\n"
    (tmp_path / "Makefile").write_text(call.replace("$(MAKE)", "$(MAKE) --no-print-directory"))
    outer = ["make", "-C", tmp_path]
    assert "EDITION=3" in checkout.run(*outer, "ENV=dev").stdout
    outcome = checkout.run(*outer, "STATE=/elsewhere")
    assert outcome.returncode == 2
    assert "hands on a variable STATE" in outcome.stderr


@pytest.mark.parametrize(
    ("edition", "arguments", "reason"),
    [
        ("2", "env DB=postgres", "EXECUTOR=celery and DB=postgres are for EDITION=3"),
        ("2", "exercise N=10", "exercise 10 does not run on EDITION=2; type: make exercise N=10 E"),
        ("1.10", "exercises", "the exercises do not run on EDITION=1.10; type: make exercises E"),
    ],
)
def test_what_an_older_edition_lacks_is_refused(tmp_path, edition, arguments, reason):
    outcome = Checkout(tmp_path / "kit", edition).make(*arguments.split())
    assert outcome.returncode == 2
    assert outcome.stderr.startswith(f"check-input: {reason}")


@guarantee(
    "Input",
    "shell or make code in any variable",
    "it is data; a dollar sign is refused",
)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "code", ["$(shell touch hacked)", "`touch hacked`", "; touch hacked", "'\"; touch hacked #"]
)
def test_shell_and_make_code_in_a_variable_is_data(checkout, name, code):
    outcome = checkout.make("env", f"{name}={code}")
    assert outcome.returncode == 2
    assert not list(checkout.path.rglob("hacked"))
    assert len(outcome.stderr.splitlines()[0]) < 200


def test_a_real_day_is_accepted(done):
    for day in "2024-02-29", "2000-02-29", "2019-01-16", "2024-08-09":
        assert done.succeed("begin", f"DATE={day}") == ""


def test_clean_keeps_the_environment_and_distclean_nothing_but_what_is_yours(new_checkout):
    checkout = new_checkout()
    files = set(checkout.path.iterdir())
    results = checkout.path / "results/3/2024-01-01"
    ours = ["auto-mpg.data", "results.csv", "bias_variance.png", "report.html"]
    theirs = ["results/3/2024-01-01/sales.csv", "results/3/sales/results.csv", "results/my sales/a"]
    for file in *(results / name for name in ours), *(checkout.path / name for name in theirs):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    (checkout.path / "libexec/startup/__pycache__").mkdir()
    checkout.home.mkdir(exist_ok=True)
    checkout.done("config", "initdb", "dags")
    (checkout.home / "airflow.cfg").touch()
    (checkout.state / "config.inputs").write_text("of an edition before an update\n")
    for target in "clean", "distclean":
        output = checkout.succeed(target)
        assert {path.name for path in results.iterdir()} == {"sales.csv"}
        for name in theirs:
            assert (checkout.path / name).exists()
            if target == "distclean" or "my sales" not in name:
                assert f"not of dag_test: {name}" in output
        if target == "clean":
            left = {path.name for path in checkout.state.iterdir() if path.suffix != ".inputs"}
            assert left == {"env", "env.done", "tools", "tools.done"}
    made = {checkout.path / ".sandbox", checkout.path / "results"}
    assert set(checkout.path.iterdir()) - made == files - made
    assert not list(checkout.path.rglob("__pycache__")) and not checkout.state.exists()
    # They were links, and what they led to is still there.
    assert (MAKEFILE.parent / ".sandbox/3/env/bin/python").exists()
