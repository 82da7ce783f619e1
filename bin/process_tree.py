"""Start servers so that they, and all that they start in turn, end with this process.

Airflow's processes make this harder than it sounds: they rename themselves, their children
outlive them, and bash tasks run in sessions of their own. So a process belongs to the tree if
it is in the session of one that was started here, or if it carries the tree's mark in its
environment (a renamed process loses that, but stays in its session; a bash task leaves the
session, but inherits the mark).

A guard, a second small process, waits on a pipe that only this process holds open. Whatever
ends this process, kill -9 included, closes the pipe, and the guard ends the tree. If both are
killed at once, the next run finds the record file and ends what is left.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

MARK = "AIRFLOW_SANDBOX_TREE"
PATIENCE = 10  # seconds that the kernel gets to end what was killed; it needs milliseconds


def members(record):
    """Return the living processes of the tree that the record file describes, as psutil.Process."""
    sessions = set()
    # Process numbers of before the last boot mean nothing now.
    if record.exists() and record.stat().st_mtime > psutil.boot_time():
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

    Raises TimeoutError if some are still there after PATIENCE seconds.
    """
    killed = set()
    deadline = time.monotonic() + PATIENCE
    # More than one round: a process may have forked between the look and the kill.
    while alive := members(record):
        if time.monotonic() > deadline:
            raise TimeoutError(f"processes that can't be ended: {[p.pid for p in alive]}")
        for process in alive:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
            killed.add(process.pid)
        psutil.wait_procs(alive, timeout=1)
    record.unlink(missing_ok=True)
    return len(killed)


class ProcessTree:
    """A context whose processes are gone when it is left, or when this process dies.

    record: path of the file that remembers the sessions; one tree a record at a time.
    """

    def __init__(self, record):
        self.record = Path(record)

    def __enter__(self):
        self.record.write_text("")
        self._guard = subprocess.Popen(
            [sys.executable, __file__, str(self.record)],
            stdin=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for this process, which then closes the pipe
        )
        return self

    def __exit__(self, *exception):
        end(self.record)
        self._guard.stdin.close()
        self._guard.wait(PATIENCE)

    def start(self, command, log, **environment):
        """Start a command in a session of its own, its output going to the file log.

        environment: variables on top of this process's. Returns the subprocess.Popen.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, **environment, MARK: str(self.record)},
            )
        with self.record.open("a") as record:
            record.write(f"{process.pid} {psutil.Process(process.pid).create_time()}\n")
        return process


def guard(record):
    """Wait until the process that holds our standard input is gone; then end its tree."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    end(Path(record))


if __name__ == "__main__":
    guard(sys.argv[1])
