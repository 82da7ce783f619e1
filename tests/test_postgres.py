"""DB=postgres: a Postgres of the checkout's own, or the one that DB_URL names."""

import contextlib
import os
import re
import subprocess
from pathlib import Path

import psutil
import pytest
from airflow_sandbox import postgres
from airflow_sandbox.errors import UserError
from airflow_sandbox.process_tree import members
from airflow_sandbox.servers import HOST, listeners
from support.backfills import DAY, start_until, wait
from support.faults import Mounts
from support.guarantees import guarantee
from support.lines import GOLDEN, all_succeeded, progress, results_of
from support.pages import sockets_of
from support.team import TeamPostgres

pytestmark = [pytest.mark.xdist_group(__name__), pytest.mark.slow]  # they share a checkout


@pytest.fixture(scope="module", autouse=True)
def programs():
    try:
        postgres.program("initdb")
    except UserError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def on_postgres(new_checkout):
    """A Checkout in which `make all DB=postgres` has run; its outcome is in .all."""
    checkout = new_checkout("postgres")
    checkout.all = checkout.run("bash", "-c", "make all 2>&1")
    return checkout


def servers(checkout):
    """Return the processes of the checkout's Postgres, as psutil.Process."""
    return members(postgres.record_of(checkout.home))


def use(checkout):
    """Start a command that uses the checkout's Postgres until its input ends; return its Popen."""
    return subprocess.Popen(
        ["bin/sandbox", "sh", "-c", "echo here; read -r _"],
        cwd=checkout.path,
        env={**os.environ, **checkout.variables},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def test_make_all_on_postgres_ends_with_the_line_and_the_right_numbers(on_postgres):
    assert on_postgres.all.returncode == 0, on_postgres.all.stdout
    assert progress(on_postgres.all.stdout)[-1] == all_succeeded()
    assert (results_of(on_postgres) / "results.csv").read_bytes() == GOLDEN.read_bytes()
    assert not (on_postgres.home / "airflow.db").exists()
    assert on_postgres.processes() == []
    assert servers(on_postgres) == []


@guarantee("What is open", "`DB=postgres`", "Postgres, at 127.0.0.1, by a generated password")
def test_postgres_runs_for_as_long_as_somebody_uses_it_and_for_this_machine_alone(on_postgres):
    with use(on_postgres) as one, use(on_postgres) as other:
        assert one.stdout.readline() == other.stdout.readline() == b"here\n"
        found = servers(on_postgres)
        assert len(listeners(found)) == 1
        assert {each.laddr.ip for each in sockets_of(found)} == {HOST}
        one.stdin.close()
        assert one.wait(30) == 1  # so says read
        assert servers(on_postgres)
        other.kill()  # libexec/with-postgres, which waits for the command
        assert servers(on_postgres)
        other.stdin.close()
        wait(lambda: not postgres.supervisor_lives(on_postgres.home), "the server to end", 10)
        assert servers(on_postgres) == []
    for name in "postgres.password", "db-url", "postgres.url":
        assert (on_postgres.home / name).exists() == (name == "postgres.password")
    assert (on_postgres.home / "postgres.password").stat().st_mode & 0o777 == 0o600


def supervisors(checkout):
    """Return the processes of the supervisor, and of its watchdog, as psutil.Process."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if words[1:2] == ["-m"] and words[-1].startswith(str(checkout.home)):
            found.append(process)
    return found


@guarantee(
    "More machines",
    "kill -9 of Postgres, of what looks after it, and of the command that uses it, all at once",
    "the next command starts it again",
)
def test_after_a_kill_of_everything_the_next_command_starts_postgres_again(on_postgres):
    lock = postgres.data_folder(on_postgres.home) / "postmaster.pid"
    # The lock that is left, of a dead process; that of a process which has its number now; none.
    for left in None, f"{os.getpid()}\n{lock.parent}\n1700000000\n5432\n", "":
        user = use(on_postgres)
        assert user.stdout.readline() == b"here\n"
        for process in [*servers(on_postgres), *supervisors(on_postgres), psutil.Process(user.pid)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        user.stdin.close()
        if left is not None:
            lock.write_text(left)
        again = on_postgres.run("bin/sandbox", "echo", "there")
        assert (again.returncode, again.stdout) == (0, "there\n"), again.stderr
        user.wait()


@guarantee(
    "More machines",
    "kill -9 of Postgres in a backfill, or of what looks after it",
    "the backfill ends and says why; no row that was committed is lost, and the next one works",
)
def test_postgres_killed_in_a_backfill_loses_nothing_that_was_committed(on_postgres):
    assert on_postgres.all.returncode == 0
    query = "from airflow_sandbox.metadata_db import open_database; import pathlib, os;"
    query += "run = open_database(pathlib.Path(os.environ['AIRFLOW_HOME'])).run_of_day"
    query += f"('dag_test', '{DAY}'); print([task.state for task in run.tasks])"
    for find in supervisors, servers:
        make = start_until(on_postgres, "succeeded: 1")
        min(find(on_postgres), key=psutil.Process.create_time).kill()
        output = make.stdout.read()
        assert make.wait(120) == 2, output
        assert re.search("metadata database in Postgres|ended by itself", output), output
        wait(lambda: not on_postgres.processes() and not servers(on_postgres), "all to end", 15)
        kept = on_postgres.run("bin/sandbox", "python", "-c", query)
        assert kept.stdout.count("'success'") >= 1, kept.stdout + kept.stderr
    again = on_postgres.run("bash", "-c", f"make backfill DATE={DAY} 2>&1")
    assert again.returncode == 0, again.stdout
    assert progress(again.stdout)[-1] == all_succeeded()
    assert on_postgres.processes() == []


@guarantee("Input", "DB_URL names a database with somebody else's tables", "it is left alone")
def test_db_url_is_used_unless_the_database_is_somebody_elses(new_checkout, tmp_path):
    psycopg = pytest.importorskip("psycopg")
    checkout = new_checkout("postgres")
    with TeamPostgres(tmp_path) as other:

        def execute(statement):
            with psycopg.connect(other.url, autocommit=True) as connection:
                connection.execute(statement)

        wait(lambda: "ready to accept connections" in other.log.read_text(), "the other server")
        execute("CREATE TABLE invoices (id integer)")
        refused = checkout.make("initdb", f"DB_URL={other.url}")
        assert refused.returncode == 2
        assert "has tables that are not Airflow's (invoices is one)" in refused.stderr
        # Those of an application that has named one of its own as Airflow does, in another schema.
        execute("CREATE SCHEMA app; CREATE TABLE app.dag_run (id integer)")
        execute("DROP TABLE invoices")
        refused = checkout.make("initdb", f"DB_URL={other.url}")
        assert refused.returncode == 2
        assert "has tables that are not Airflow's (dag_run is one)" in refused.stderr
        execute("DROP SCHEMA app CASCADE")
        exported = {**os.environ, "SANDBOX_DB_URL": other.url}
        outcome = checkout.run("bash", "-c", f"make backfill DATE={DAY} 2>&1", env=exported)
        assert outcome.returncode == 0, outcome.stdout
        assert progress(outcome.stdout)[-1] == all_succeeded()
        assert not (checkout.home / "postgres").exists()
        assert "topsecret" not in outcome.stdout + refused.stdout + refused.stderr
        with psycopg.connect(other.url) as connection:
            (state,) = connection.execute("SELECT state FROM dag_run").fetchone()
        assert state == "success"
    gone = checkout.make("backfill", f"DATE={DAY}", f"DB_URL={other.url}")
    assert gone.returncode == 2
    assert "refused" in gone.stderr and "topsecret" not in gone.stdout + gone.stderr
    # Without DB_URL, a server of its own; a damaged one is set aside.
    (checkout.home / "postgres").mkdir()
    own = checkout.succeed("list-dags")
    assert "Prepare Postgres" in own and "airflow/postgres is damaged" in own


@guarantee("Input", "a DB_URL in the environment, without `DB=postgres`", "it is not used")
def test_without_db_postgres_a_db_url_means_nothing(new_checkout):
    checkout = new_checkout("")
    url = "postgresql://me:secret@127.0.0.1:1/app"
    (checkout.state / "db-url").write_text(f"{url}\n")  # a kit before this rule may have left it
    outcome = checkout.make("initdb", env={**os.environ, "DB_URL": url})
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert (checkout.home / "airflow.db").exists()


@guarantee(
    "The machine",
    "Postgres or a broker is not installed",
    "`make all` stops at once and names the command that installs it",
)
def test_without_the_programs_make_all_names_the_command_that_installs_them(new_checkout, tmp_path):
    checkout = new_checkout("celery")
    hidden = {"initdb", "redis-server", "valkey-server"}
    for folder in reversed(os.environ["PATH"].split(":")):  # the first one wins
        for path in Path(folder).glob("*"):
            if path.name not in hidden:
                link = tmp_path / path.name
                link.unlink(missing_ok=True)
                link.symlink_to(path)
    mounts = Mounts(checkout.path, "mount -t tmpfs none /usr/lib/postgresql")
    checkout.inside = mounts.enter
    try:
        outcome = checkout.make("all", env={**os.environ, "PATH": str(tmp_path)})
    finally:
        mounts.close()
    assert outcome.returncode == 2
    assert "doctor: missing: Postgres, which is the metadata database" in outcome.stderr
    assert "doctor: missing: Valkey or Redis, which hands tasks to workers" in outcome.stderr
    assert "postgresql" in outcome.stderr.splitlines()[-2]
    assert "make doctor EXECUTOR=celery" in outcome.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="it is about root")
def test_root_without_user_namespaces_is_told_what_to_do(new_checkout):
    checkout = new_checkout("postgres")
    checkout.succeed("config")
    mounts = Mounts(checkout.path, "mount --bind /bin/false /usr/bin/unshare")
    checkout.inside = mounts.enter
    try:
        outcome = checkout.make("initdb")
    finally:
        mounts.close()
    assert outcome.returncode == 2
    assert "Postgres does not run as root" in outcome.stderr
    assert "DB_URL=" in outcome.stderr
