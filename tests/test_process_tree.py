"""What belongs to a tree of processes, however its parts were started, and that it ends."""

import multiprocessing
import sys
import tempfile

import psutil
import pytest
from airflow_sandbox.backfill import executor_workers
from airflow_sandbox.process_tree import ProcessTree, members
from support.backfills import wait
from support.checkouts import PROJECT

# As the executor does it: two workers that wait for work, one of which has a task's process.
EXECUTOR = """
import multiprocessing, os, sys, time

def work(name, with_task):
    if name == "named":
        from setproctitle import setproctitle
        setproctitle("airflow worker -- LocalExecutor: <idle>")
    if with_task:
        os.fork()
    time.sleep(61)

if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[1])
    name = sys.argv[2]
    workers = [multiprocessing.Process(target=work, args=[name, task]) for task in (True, False)]
    for worker in workers:
        worker.start()
    print(*[worker.pid for worker in workers], flush=True)
    time.sleep(61)
"""
# On macOS, Airflow gives its workers no name, and multiprocessing spawns them.
WAYS = [(method, "named") for method in multiprocessing.get_all_start_methods()]
WAYS += [("spawn", "nameless")]


@pytest.fixture
def record(tmp_path):
    return tmp_path / "a tree.processes"


@pytest.mark.parametrize(("method", "name"), WAYS)
def test_the_executors_workers_are_found_however_they_were_started(record, tmp_path, method, name):
    script, output = tmp_path / "executor.py", tmp_path / "output"
    script.write_text(EXECUTOR)
    # The path of forkserver's socket has to be short.
    short = tempfile.TemporaryDirectory(dir="/tmp")
    with short, ProcessTree(record) as tree:
        with output.open("wb") as file:
            tree.start([sys.executable, script, method, name], file, TMPDIR=short.name)
        wait(lambda: output.read_text().endswith("\n"), "two workers")
        workers = {int(pid) for pid in output.read_text().split()}
        wait(lambda: executor_workers(record) == workers, f"{workers} to be found")
        # And a worker that is killed is missed, also if what was its task's process lives on.
        dead = workers.pop()
        psutil.Process(dead).kill()
        wait(lambda: dead not in executor_workers(record), f"{dead} to be missed")
        assert workers <= executor_workers(record)
    assert members(record) == []


def test_a_descendant_without_a_mark_belongs_to_the_tree(record):
    """As a task's bash on macOS, whose environment nobody may read."""
    with ProcessTree(record) as tree:
        started = tree.start(["sh", "-c", "setsid env -i sleep 61 & wait"])
        wait(lambda: len(psutil.Process(started.pid).children()) == 1, "the descendant")
        (hidden,) = psutil.Process(started.pid).children()
        wait(lambda: hidden.cmdline()[0] == "sleep", "the end of setsid and env")
        wait(lambda: hidden in members(record), "the watchdog to see it", 5)
        # Known once, it stays known when what had started it is gone.
        started.kill()
        started.wait()
        assert hidden in members(record)
    assert not hidden.is_running() or hidden.status() == psutil.STATUS_ZOMBIE


def test_the_next_tree_ends_what_one_killed_with_its_watchdog_has_left(record, tmp_path):
    script = tmp_path / "owner.py"
    script.write_text(
        "import sys, time; sys.path.insert(0, sys.argv[1])\n"
        "from airflow_sandbox.process_tree import ProcessTree\n"
        "with ProcessTree(sys.argv[2]) as tree:\n"
        "    tree.start(['sleep', '61'])\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(61)\n"
    )
    command = [sys.executable, script, str(PROJECT / "libexec"), str(record)]
    owner = psutil.Popen(command, stdout=-1)
    assert owner.stdout.readline() == b"ready\n"
    for process in [owner, *[p for p in owner.children() if "process_tree" in str(p.cmdline())]]:
        process.kill()
    owner.wait()
    assert len(members(record)) == 1
    with ProcessTree(record) as tree:
        assert tree.leftovers == 1
    assert members(record) == []


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
def test_there_is_room_for_a_socket_however_long_the_path_of_the_checkout_is(tmp_path):
    record = tmp_path / ("long" * 30) / "a tree.processes"
    record.parent.mkdir()
    code = "import multiprocessing; print(multiprocessing.Manager().list([1]))"
    with (tmp_path / "output").open("wb") as file, ProcessTree(record) as tree:
        assert tree.start([sys.executable, "-c", code], file).wait(60) == 0
    assert (tmp_path / "output").read_text() == "[1]\n"
    assert not record.with_suffix(".tmp").exists()
