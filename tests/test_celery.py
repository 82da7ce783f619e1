"""EXECUTOR=celery: a broker and workers, on this machine and on others."""

import contextlib
import os
import re
import shlex
import signal
import sys

import psutil
import pytest
from airflow_sandbox.process_tree import members
from airflow_sandbox.servers import HOST, free_port
from support.backfills import DAY, start, start_until, wait
from support.checkouts import PROJECT, read_until
from support.guarantees import guarantee
from support.lines import GOLDEN, all_succeeded, progress, results_of
from support.pages import READY, Served
from support.walk import pattern, steps_of, walk
from support.watch import Watch

OTHER_MACHINES = r"LISTEN=192\.|BROKER_URL="  # tests/test_hosts.py types these

pytestmark = [pytest.mark.xdist_group(__name__), pytest.mark.slow]  # they share a checkout


@pytest.fixture(scope="module")
def on_celery(new_checkout):
    """A Checkout in which `make all EXECUTOR=celery` has run; its outcome is in .all."""
    checkout = new_checkout("celery")
    doctor = checkout.run("bin/doctor", "--quiet")
    if doctor.returncode:
        pytest.skip(doctor.stderr)
    with Watch() as checkout.watch:
        checkout.all = checkout.run("bash", "-c", "make all 2>&1")
    return checkout


def test_make_all_on_celery_ends_with_the_line_and_the_right_numbers(on_celery):
    assert on_celery.all.returncode == 0, on_celery.all.stdout
    assert progress(on_celery.all.stdout)[-1] == all_succeeded()
    assert (results_of(on_celery) / "results.csv").read_bytes() == GOLDEN.read_bytes()
    assert len(re.findall(r"\$ airflow celery worker", on_celery.all.stdout)) == 2
    assert on_celery.processes() == []
    on_celery.succeed("report")
    page = (results_of(on_celery) / "report.html").read_text()
    for name, version in ("Metadata database", r"PostgreSQL \d+"), ("Broker", r"(Redis|Valkey) \d"):
        assert re.search(rf">{name}</th><td>{version}", page)
    assert re.search("make all DATE=[0-9-]+ EXECUTOR=celery<", page)


def test_the_page_on_scaling_can_be_followed_on_one_machine(on_celery, request):
    steps = steps_of((PROJECT / "docs/scaling.md").read_text())
    here = [step for step in steps if not re.search(OTHER_MACHINES, step[0])]
    assert len(steps) == len(here) + 2
    ((command, expected),) = [step for step in here if step[0].startswith("make all")]
    assert command == "make all EXECUTOR=celery"  # which the fixture has typed
    assert re.search(pattern(expected), on_celery.all.stdout), on_celery.all.stdout
    walk(on_celery, [step for step in here if step[0] != command], request)


@guarantee("What is open", "`make all EXECUTOR=celery`", "nothing beyond 127.0.0.1")
def test_none_of_its_servers_listens_to_the_network(on_celery):
    assert on_celery.watch.open_to_the_network() == {}
    assert on_celery.watch.listening  # it has seen what there was to see
    password = (on_celery.home / "broker.password").read_text().strip()
    assert password not in "\n".join(on_celery.watch.commands)


@guarantee(
    "More machines",
    "kill -9 of the broker or of a worker",
    "the backfill ends and says which; nothing is left running, and the next one works",
)
def test_a_server_that_is_killed_ends_the_backfill(on_celery):
    for name, sign in ("broker", "redis-server|valkey-server"), ("worker-1", "worker-1@"):
        make = start_until(on_celery, "succeeded: 1")
        found = []
        for process in members(on_celery.home / "backfill.processes"):
            with contextlib.suppress(psutil.Error):
                if re.search(sign, " ".join(process.cmdline())):
                    found.append(process)
        min(found, key=psutil.Process.create_time).kill()
        output = make.stdout.read()
        assert make.wait(60) == 2, output
        assert f"backfill: the {name} ended by itself (exit code -9, so it was killed)" in output
        wait(lambda: not on_celery.processes(), "all to end", 15)


@guarantee(
    "More machines",
    "kill -9 of the broker or of a worker",
    "the backfill ends and says which; nothing is left running, and the next one works",
)
def test_the_next_backfill_works_beside_the_ui_and_by_its_workers(on_celery):
    refused = on_celery.make("ui", f"LISTEN={HOST}")
    assert refused.returncode == 2 and "is for this machine only" in refused.stderr
    served = Served(on_celery, READY)
    try:
        assert served.output.count("$ airflow celery worker") == 2
        assert "repaired" not in served.output
        output = on_celery.succeed("backfill", f"DATE={DAY}")
        assert progress(output)[-1] == all_succeeded()
        assert "$ airflow celery worker" not in output
    finally:
        on_celery.succeed("stop")
    served.make.wait(30)
    wait(lambda: not on_celery.processes(), "all to end", 15)


def test_tasks_that_no_worker_takes_are_named_and_run_as_soon_as_one_has_joined(
    on_celery, new_checkout, tmp_path
):
    port = free_port()
    host = "127.0.0.2" if sys.platform == "linux" else HOST
    there = [f"LISTEN={host}", f"PORT={port}", "WORKERS=0", f"SHARED={tmp_path}"]
    make = start(on_celery, *there)
    output = read_until(make, "no worker has taken one")
    assert "Other machines join with the command in " in output
    command = (on_celery.home / "join-command").read_text()
    assert command.strip() not in output  # it holds the broker's password
    other = new_checkout("celery")
    assert "make worker needs SANDBOX_BROKER_URL= and API_URL=" in other.make("worker").stderr
    worker = other.start("env", "--default-signal=INT", *shlex.split(command))
    joined = read_until(worker, "takes tasks")
    output = make.stdout.read()
    assert make.wait(60) == 0, output
    assert progress(output)[-1] == all_succeeded()
    assert (tmp_path / "results/3" / DAY / "results.csv").read_bytes() == GOLDEN.read_bytes()
    assert not (other.home / "postgres").exists()
    os.killpg(worker.pid, signal.SIGINT)
    joined += worker.stdout.read()
    worker.wait(60)
    assert "the worker has ended" in joined
    assert other.processes() == []
    # Its machine is gone now.
    alone = other.run("env", *shlex.split(command))
    assert alone.returncode == 2
    assert f"nobody answers at {host}, port {port + 1}" in alone.stderr
