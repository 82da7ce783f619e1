"""The machine fails: no space, no memory, one core, a closed lid. The run succeeds or says why.

And when the fault is gone, the next make works. What Linux alone can inject, or a machine does
not allow, is skipped with the reason.
"""

import contextlib
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import psutil
import pytest
from airflow_sandbox.metadata_db import open_database
from support.backfills import DAY, SECOND_TASK_RUNS, start_until
from support.checkouts import PROJECT
from support.faults import Mounts, SmallDisk
from support.guarantees import guarantee
from support.lines import GOLDEN, all_succeeded, progress, results_of

pytestmark = [pytest.mark.xdist_group(__name__), pytest.mark.slow]  # they share checkouts

KB, MB = 1024, 1024**2


@pytest.fixture(scope="module")
def small_disk(new_checkout):
    """A checkout on a disk of its own, .disk, which can be filled up."""
    checkout = new_checkout()
    checkout.disk = SmallDisk(checkout.path)
    checkout.inside = checkout.disk.enter
    yield checkout
    checkout.disk.close()


def says_why(outcome, *words):
    """Assert that a make failed and that its last words, besides make's own, name the reason."""
    assert outcome.returncode == 2, outcome.stdout + outcome.stderr
    last = [line for line in outcome.stderr.splitlines() if not re.match("g?make", line)][-1]
    for word in (*words, "then type again: make "):
        assert word in last, outcome.stderr


@guarantee(
    "The machine",
    "a full disk in any step",
    (
        "the step fails, the last line names the disk and how much is free; with room again the "
        "same command works"
    ),
)
def test_a_full_disk_is_named_and_with_room_again_the_step_works(small_disk):
    before = "config"
    for step, left in ("initdb", 512 * KB), ("backfill", 256 * KB):  # so the servers start
        assert small_disk.make(before).returncode == 0
        small_disk.disk.fill(left)
        outcome = small_disk.make(step)
        small_disk.disk.free()
        says_why(outcome, "the disk is full", str(small_disk.path))
        assert small_disk.processes() == []
        before = "list-dags"
    assert "Traceback" not in outcome.stderr
    assert progress(small_disk.succeed("backfill"))[-1] == all_succeeded()


@guarantee(
    "The machine",
    "a full disk, and `make clean`",
    "it makes room",
)
def test_on_a_full_disk_make_clean_makes_room(small_disk):
    small_disk.succeed("initdb")
    small_disk.disk.fill(0)
    repair = small_disk.run("libexec/repair-state", ".sandbox/3", ".sandbox/3")
    outcome = small_disk.make("clean")
    small_disk.disk.free()
    assert (repair.returncode, repair.stdout) == (0, "")  # the database is not taken for damaged
    assert outcome.returncode == 0, outcome.stderr
    assert not (small_disk.disk.inner / ".sandbox/3/airflow").exists()


@guarantee(
    "The machine",
    "a full disk while airflow.cfg is edited",
    "the file stays as it was",
)
def test_on_a_full_disk_airflow_cfg_stays_as_it_was(small_disk):
    assert small_disk.make("config").returncode == 0
    path = small_disk.disk.inner / ".sandbox/3/airflow/airflow.cfg"
    before = path.read_bytes()
    small_disk.disk.fill(64 * KB)  # about half of it
    outcome = small_disk.run(
        *["bin/sandbox", "libexec/set-config", ".sandbox/3/airflow/airflow.cfg"],
        "core.parallelism=3",
    )
    small_disk.disk.free()
    assert outcome.returncode == 1
    assert "airflow.cfg: [Errno 28] No space left on device" in outcome.stderr
    assert path.read_bytes() == before
    assert not list(path.parent.glob("*.new"))


@guarantee(
    "The machine",
    "a full disk while a task writes",
    "the old file stays whole",
)
@pytest.mark.parametrize(
    ("command", "files"),
    [
        (["pipeline/get_data.py", "out/auto-mpg.data"], ["auto-mpg.data"]),
        (["regress.py", "--out", "out"], ["results.csv", "bias_variance.png"]),
    ],
)
def test_on_a_full_disk_a_task_leaves_the_old_file_whole_and_says_why(small_disk, command, files):
    folder = small_disk.disk.inner / "out"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in files:
        (folder / name).write_text("old")
    environment = {**os.environ, "AIRFLOW_SANDBOX": "3", "DATA_URL": "http://127.0.0.1:1/"}
    small_disk.disk.fill(8 * KB)
    outcome = small_disk.run("bin/sandbox", "python", *command, env=environment)
    small_disk.disk.free()
    assert outcome.returncode == 1
    assert "No space left on device" in outcome.stderr
    assert f"{command[0].removeprefix('pipeline/')}: out" in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert (folder / files[-1]).read_text() == "old"
    assert sorted(path.name for path in folder.iterdir()) == sorted(files)


@guarantee(
    "The machine",
    "a read-only checkout",
    "one line, nothing lost",
)
def test_a_read_only_checkout_is_named_and_loses_nothing(new_checkout):
    checkout = new_checkout()
    mounts = Mounts(checkout.path, 'mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"')
    checkout.inside = mounts.enter
    before = sorted(checkout.path.rglob("*"))
    says_why(checkout.make("all"), f"{checkout.path}", "can't be written to")
    mounts.close()
    assert sorted(checkout.path.rglob("*")) == before


@pytest.fixture(scope="module")
def pair(new_checkout, tmp_path_factory):
    """Two checkouts in which `make all` ran at the same time, one of them on a bare machine.

    The outcome is in .all, of the bare one the day that it began on in .day: it began before
    midnight (UTC), and all after its first look at the clock was after midnight.
    """
    bare, plain = new_checkout(), new_checkout()
    today = datetime.now(timezone.utc).date()
    bare.day = today - timedelta(days=1)
    clock = tmp_path_factory.mktemp("clock") / "date"
    clock.write_text(
        f"""#!/bin/sh
mkdir '{clock}.asked' 2>&- && echo {bare.day} || exec {shutil.which("date")} "$@"
"""
    )
    clock.chmod(0o755)

    def one_core_and_few_files():
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, most))  # as on macOS

    processes = [
        subprocess.Popen(
            ["sh", "-c", f"exec make all 2>&1 {redirection}"],
            cwd=checkout.path,
            stdout=subprocess.PIPE,
            text=True,
            **options,
        )
        for checkout, redirection, options in (
            (plain, "", {}),
            (
                bare,
                "<&-",
                {
                    "start_new_session": True,  # no terminal
                    # Neither HOME nor USER nor TERM; no UTF-8; folders that are not there, or
                    # the current one, on PATH.
                    "env": {
                        "PATH": f"{clock.parent}::/not there:{os.environ['PATH']}:",
                        "LC_ALL": "en_US.ISO-8859-1",
                        "EDITION": bare.edition,
                    },
                    "preexec_fn": one_core_and_few_files,
                },
            ),
        )
    ]
    for checkout, process in zip((plain, bare), processes, strict=True):
        output, _ = process.communicate(timeout=600)
        checkout.all = subprocess.CompletedProcess(process.args, process.returncode, output)
    return plain, bare


@guarantee(
    "The machine",
    "two checkouts at once",
    "both work",
)
def test_two_checkouts_at_once_both_work(pair):
    for checkout in pair:
        assert checkout.all.returncode == 0, checkout.all.stdout
        assert progress(checkout.all.stdout)[-1] == all_succeeded()


@guarantee(
    "The machine",
    "one core, no terminal, no HOME, no USER, 256 open files, a locale without UTF-8",
    "works",
)
def test_without_terminal_home_user_utf_8_and_a_second_core_all_works(pair):
    _, bare = pair
    assert bare.all.returncode == 0, bare.all.stdout
    assert (results_of(bare, bare.day) / "results.csv").read_bytes() == GOLDEN.read_bytes()


@guarantee(
    "The machine",
    "the clock passes midnight (UTC) during the run",
    "the day stays the one that the run began on",
)
def test_over_midnight_the_day_stays_the_one_that_the_run_began_on(pair):
    _, bare = pair
    assert f"bin/backfill dag_test -s {bare.day} -e {bare.day}\n" in bare.all.stdout
    assert f"pipeline/print_results.py results/3/{bare.day}\n" in bare.all.stdout
    assert [folder.name for folder in (bare.path / "results/3").iterdir()] == [str(bare.day)]


@pytest.fixture
def ready(pair):
    """A checkout in which all is ready for a backfill."""
    plain, _ = pair
    assert plain.all.returncode == 0, plain.all.stdout
    return plain


NO_SHM = """
mkdir "$1.dev"
mount -t tmpfs none "$1.dev"
for name in null zero full random urandom; do
    touch "$1.dev/$name"
    mount --bind "/dev/$name" "$1.dev/$name"
done
ln -s /proc/self/fd "$1.dev/fd"
mount --rbind "$1.dev" /dev
"""


@guarantee(
    "The machine",
    "no /dev/shm",
    "one line, and the command that makes one",
)
def test_without_dev_shm_it_says_so(ready):
    mounts = Mounts(ready.path, NO_SHM)
    outcome = ready.run(*mounts.enter, "libexec/step", "Fail", "false")
    mounts.close()
    assert outcome.returncode == 1
    assert "/dev/shm" in outcome.stderr and "mount -t tmpfs" in outcome.stderr


@guarantee(
    "The machine",
    "a limit of the shell (ulimit -f, -n, -u, -v) that is too low",
    "one line that names it, if a step fails",
)
def test_a_low_limit_is_named(ready):
    low = "ulimit -f 1000; ulimit -n 99; libexec/step Fail false"
    said = ready.run("bash", "-c", low).stderr
    assert re.findall(r"limit \(ulimit -(.)\) is (\d+), and", said) == [("f", "1000"), ("n", "99")]


def tree(process):
    """Return a process and all below it, as psutil.Process."""
    process = psutil.Process(process.pid)
    return [process, *process.children(recursive=True)]


@pytest.fixture
def small_memory():
    """The folder of a control group whose processes get 400 MB of memory together."""
    name = f"airflow-sandbox-{os.getpid()}"
    for group in Path("/sys/fs/cgroup/memory", name), Path("/sys/fs/cgroup", name):
        with contextlib.suppress(OSError):
            group.mkdir()
        for limit in "memory.limit_in_bytes", "memory.max":
            if (group / limit).exists():
                (group / limit).write_text(str(400 * MB))
                yield group
                group.rmdir()
                return
        with contextlib.suppress(OSError):
            group.rmdir()
    pytest.skip("this machine lets nobody make a control group for memory")


@guarantee(
    "The machine",
    "memory runs out (a run takes some 650 MB)",
    "the last line says so, and nothing is left running",
)
def test_when_memory_runs_out_it_says_so(ready, small_memory):
    enter = f"echo $$ > {small_memory}/cgroup.procs; exec make backfill DATE={DAY}"
    outcome = ready.run("bash", "-c", enter)
    says_why(outcome, "memory ran out, and Linux killed a process")
    assert "Traceback" not in outcome.stderr.replace("     | Traceback", "")  # that of a log
    assert ready.processes() == []


def test_memory_that_ran_out_in_another_control_group_is_not_ours(small_memory):
    enter = f"echo $$ > {small_memory}/cgroup.procs; "
    take = f"exec {sys.executable} -c 'b\"x\" * {800 * MB}'"
    count = f". {PROJECT}/libexec/processes.sh; oom_kills"

    def kills(command):
        counted = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
        return int(counted.stdout)

    ours, theirs = kills(count), kills(enter + count)
    assert subprocess.run(["bash", "-c", enter + take]).returncode == -signal.SIGKILL
    assert kills(enter + count) == theirs + 1
    assert kills(count) == ours


@guarantee(
    "The machine",
    "suspended for half a minute",
    "the run goes on",
)
def test_a_lid_that_is_closed_for_a_while_does_not_fail_the_run(ready):
    make = start_until(ready, SECOND_TASK_RUNS)
    stopped = []
    while running := [process for process in tree(make) if process not in stopped]:
        for process in running:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()
        stopped += running
    time.sleep(35)  # the fault itself; Airflow's servers wait 30 s for each other
    for process in stopped:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.resume()
    output, _ = make.communicate(timeout=300)
    assert make.returncode == 0, output
    assert progress(output)[-1] == all_succeeded()


@guarantee(
    "The machine",
    "the reader of the output leaves (`make all | head -1`)",
    "the run is ended, nothing is left running",
)
def test_a_reader_that_leaves_ends_the_run_and_leaves_nothing_running(ready):
    make = start_until(ready, "tasks waiting: 3", stderr=subprocess.PIPE)
    make.stdout.close()
    errors = make.stderr.read()
    make.wait()
    assert make.returncode == 2
    assert "backfill: nobody reads its output any more" in errors
    assert "Exception" not in errors
    assert ready.processes() == []
    assert open_database(ready.home).open_backfills("dag_test") == []
