"""Start servers so that they, and all that they start in turn, end with this process.

Airflow's processes make this harder than it sounds: they rename themselves, their children
outlive them, and bash tasks run in sessions of their own. So a process belongs to the tree if
it is in the session of one that was started here, or if it carries the tree's mark in its
environment (a renamed process loses that, but stays in its session; a bash task leaves the
session, but inherits the mark).

A guard, a second small process, waits on a pipe that only this process holds open. Whatever
ends this process, kill -9 included, closes the pipe, and the guard ends the tree. If both are
killed at once, the next tree with the same record file ends what they left behind.

To stay of use to Airflow 1.10, this module keeps to Python 3.7.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
from interruption import ignore_signals

MARK = "AIRFLOW_SANDBOX_TREE"
PATIENCE = 10  # seconds that the kernel gets to end what was killed; it needs milliseconds
GUARD_PATIENCE = 2  # seconds that the guard of another tree gets to do so


def members(record):
    """Return the living processes of the tree that the record file describes, as psutil.Process."""
    sessions = set()
    # Process numbers of before the last boot mean nothing now.
    if record.stat().st_mtime > psutil.boot_time():
        for line in record.read_text().splitlines():
            leader, started = line.split()
            try:
                recycled = psutil.Process(int(leader)).create_time() != float(started)
            except psutil.NoSuchProcess:
                recycled = False
            if not recycled:
                sessions.add(int(leader))

    found = []
    for process in psutil.process_iter():
        try:
            ours = os.getsid(process.pid) in sessions or process.environ().get(MARK) == str(record)
            if ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue  # it ended meanwhile, or it is somebody else's
    return found


def end(record):
    """Kill the tree of the record file; return how many processes that took.

    What they had in their folder for temporary files goes, too. Raises TimeoutError if some are
    still there after PATIENCE seconds.
    """
    killed = set()
    deadline = time.monotonic() + PATIENCE
    # More than one round: a process may have forked between the look and the kill.
    alive = members(record)
    while alive:
        if time.monotonic() > deadline:
            raise TimeoutError("processes that can't be ended: %s" % [p.pid for p in alive])
        for process in alive:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
            killed.add(process.pid)
        psutil.wait_procs(alive, timeout=1)
        alive = members(record)
    shutil.rmtree(str(temporary(record)), ignore_errors=True)
    record.write_text("")
    return len(killed)


def temporary(record):
    """Return the folder for the temporary files of a tree, some of which hold secrets."""
    return record.with_suffix(".tmp")


class ProcessTree:
    """A context whose processes are gone when it is left, or when this process dies.

    record: path of the file that remembers the sessions, and whose lock makes sure that there is
    one tree a record at a time: entering raises BlockingIOError if there is another.
    leftovers: how many processes of an earlier tree had to be ended first.
    """

    def __init__(self, record):
        self.record = Path(record)

    def __enter__(self):
        self._lock = self.record.open("a")
        # The guard of a tree that was just killed holds the lock, too, until it is done.
        deadline = time.monotonic() + GUARD_PATIENCE
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    self._lock.close()
                    raise
                time.sleep(0.1)
        self.leftovers = end(self.record)
        self._started = False
        self._guard = subprocess.Popen(
            [sys.executable, __file__, str(self.record)],
            stdin=subprocess.PIPE,
            pass_fds=[self._lock.fileno()],
            start_new_session=True,  # Ctrl-C is for this process, which then closes the pipe
        )
        return self

    def __exit__(self, *exception):
        self.end()
        self._guard.stdin.close()
        self._guard.wait(PATIENCE)
        self._lock.close()

    def end(self):
        """End all processes of the tree, before its time."""
        if self._started:
            end(self.record)
            self._started = False

    def start(self, command, output=None, stdin=subprocess.DEVNULL, **environment):
        """Start a command in a session of its own; return its subprocess.Popen.

        output: a file, opened for writing, for all that it prints; None to print it here.
        stdin: what subprocess.Popen takes for it.
        environment: variables on top of this process's.
        """
        self._started = True
        temporary(self.record).mkdir(mode=0o700, exist_ok=True)
        process = subprocess.Popen(
            command,
            stdin=stdin,
            stdout=output,
            stderr=subprocess.STDOUT if output else None,
            start_new_session=True,
            env={
                **os.environ,
                "TMPDIR": str(temporary(self.record)),
                **environment,
                MARK: str(self.record),
            },
        )
        with self.record.open("a") as record:
            record.write(f"{process.pid} {psutil.Process(process.pid).create_time()}\n")
        return process


if __name__ == "__main__":
    # The guard. Its standard input ends when the process is gone that holds the other end of it.
    ignore_signals()
    sys.stdin.buffer.read()
    end(Path(sys.argv[1]))
