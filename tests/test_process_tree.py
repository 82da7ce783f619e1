"""What belongs to a tree of processes, however its parts were started, and that it ends."""

import os
import signal
import sys

import psutil
import pytest
from airflow_sandbox.process_tree import ProcessTree, members
from support.backfills import wait
from support.checkouts import PROJECT


@pytest.fixture
def record(tmp_path):
    return tmp_path / "a tree.processes"


def test_a_descendant_without_a_mark_belongs_to_the_tree(record):
    """As a task's bash on macOS, whose environment nobody may read."""
    with ProcessTree(record) as tree:
        started = tree.start(["sh", "-c", "setsid env -i sleep 61 & wait"])
        wait(lambda: len(psutil.Process(started.pid).children()) == 1, "the descendant")
        (hidden,) = psutil.Process(started.pid).children()
        wait(lambda: hidden.cmdline()[:1] == ["sleep"], "the end of setsid and env")
        wait(lambda: hidden in members(record), "the watchdog to see it", 5)
        # Known once, it stays known when what had started it is gone.
        started.kill()
        started.wait()
        assert hidden in members(record)
    assert not hidden.is_running() or hidden.status() == psutil.STATUS_ZOMBIE


def test_a_descendant_that_no_watchdog_has_seen_yet_is_ended(record):
    with ProcessTree(record) as tree:
        os.kill(tree._watchdog.pid, signal.SIGSTOP)
        try:
            started = tree.start(["sh", "-c", "setsid env -i sleep 61 & wait"])
            wait(lambda: len(psutil.Process(started.pid).children()) == 1, "the descendant")
            (hidden,) = psutil.Process(started.pid).children()
            wait(lambda: hidden.cmdline()[:1] == ["sleep"], "the end of setsid and env")
            tree.end()
        finally:
            os.kill(tree._watchdog.pid, signal.SIGCONT)
    assert not hidden.is_running() or hidden.status() == psutil.STATUS_ZOMBIE


def owner_of_a_tree(tmp_path, record, *lines):
    """Return the command of a process that does this in a tree of its own."""
    script = tmp_path / "owner.py"
    script.write_text(
        "import sys, time; sys.path.insert(0, sys.argv[1])\n"
        "from airflow_sandbox.process_tree import ProcessTree\n"
        "with ProcessTree(sys.argv[2]) as tree:\n" + "".join(f"    {line}\n" for line in lines)
    )
    return [sys.executable, script, str(PROJECT / "libexec"), str(record)]


def test_the_next_tree_ends_what_one_killed_with_its_watchdog_has_left(record, tmp_path):
    lines = "tree.start(['sleep', '61'])", "print('ready', flush=True)", "time.sleep(61)"
    owner = psutil.Popen(owner_of_a_tree(tmp_path, record, *lines), stdout=-1)
    assert owner.stdout.readline() == b"ready\n"
    for process in [owner, *[p for p in owner.children() if "process_tree" in str(p.cmdline())]]:
        process.kill()
    owner.wait()
    assert len(members(record)) == 1
    with ProcessTree(record) as tree:
        assert tree.leftovers == 1
    assert members(record) == []


def test_a_tree_in_a_tree_leaves_nothing_though_it_was_just_starting_something(record, tmp_path):
    inner = tmp_path / "inner.processes"
    command = owner_of_a_tree(tmp_path, inner, "while True: tree.start(['sleep', '61'])")
    with ProcessTree(record) as tree:
        tree.start(command)
        wait(lambda: members(inner), "the tree in the tree")
    assert members(inner) == []


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
def test_there_is_room_for_a_socket_however_long_the_path_of_the_checkout_is(tmp_path):
    record = tmp_path / ("long" * 30) / "a tree.processes"
    record.parent.mkdir()
    code = "import multiprocessing; print(multiprocessing.Manager().list([1]))"
    with (tmp_path / "output").open("wb") as file, ProcessTree(record) as tree:
        assert tree.start([sys.executable, "-c", code], file).wait(60) == 0
    assert (tmp_path / "output").read_text() == "[1]\n"
    assert not record.with_suffix(".tmp").exists()
