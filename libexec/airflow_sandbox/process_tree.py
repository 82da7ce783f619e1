"""Start servers so that they, and all that they start in turn, end with this process.

Airflow's processes make this harder than it sounds: they rename themselves, their children
outlive them, and bash tasks run in sessions of their own. So a process belongs to the tree if
it is in a session of the tree, or if it carries the tree's mark in its environment (a renamed
process loses that, but stays in its session; a bash task leaves the session, but inherits the
mark). A session is the tree's if its leader was started here, or was seen below one that was:
macOS shows nobody the environment of its own programs, such as the bash of a task.

A watchdog, a second small process, looks for such sessions once a second, and waits on a pipe that
only this process holds open. Whatever ends this process, kill -9 included, closes the pipe, and
the watchdog ends the tree. If both are killed at once, the next tree with the same record file ends
what they left behind.

To stay of use to Airflow 1.10, this module keeps to Python 3.7.
"""

import contextlib
import fcntl
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil

from airflow_sandbox.errors import UserError
from airflow_sandbox.interruption import ignore_signals

MARK = "AIRFLOW_SANDBOX_TREE"
PATIENCE = 10  # seconds that the kernel gets to end what was killed; it needs milliseconds
WATCHDOG_PATIENCE = 2  # seconds that the watchdog of another tree gets to do so
LOOK = 1  # seconds between two looks for new sessions
LONGEST_TMPDIR = 74  # bytes: a socket's path has at most 107, and multiprocessing adds 33


def sessions(file):
    """Return {session: when its leader was created} of a file, without numbers that were recycled.

    file: a line for each session, its leader's process number and when that was created. If the
    leader has ended, its number belongs to the session as long as that has any process.
    """
    found = {}
    # Process numbers of before the last boot mean nothing now.
    if file.exists() and file.stat().st_mtime > psutil.boot_time():
        for line in file.read_text().splitlines():
            leader, _, created = line.partition(" ")
            if created_at(int(leader)) in (None, float(created)):
                found[int(leader)] = float(created)
    return found


def created_at(pid):
    """Return when a process was created, in seconds since 1970, or None if there is none."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return None


def started_by(record):
    """Return the file of the sessions that the watchdog has found below those of the tree."""
    return record.with_suffix(".descendants")


def remember_descendants(record):
    """Bring the file started_by(record) up to date; called by the watchdog alone."""
    file = started_by(record)
    known = sessions(file)
    found = dict(known)
    leaders = {*sessions(record), *known}
    living = set()
    for pid in psutil.pids():
        with contextlib.suppress(OSError):
            living.add(os.getsid(pid))
    for leader in leaders & living:
        with contextlib.suppress(psutil.Error, OSError):  # it has just ended
            for process in psutil.Process(leader).children(recursive=True):
                session = os.getsid(process.pid)
                if session not in leaders | found.keys():
                    found[session] = created_at(session) or 0
    found = {session: created for session, created in found.items() if session in living}
    if found != known:
        # In place: the next look would write it again, were this one cut short.
        file.write_text("".join(f"{leader} {created}\n" for leader, created in found.items()))


def members(record):
    """Return the living processes of the tree that the record file describes, as psutil.Process."""
    ours = {*sessions(record), *sessions(started_by(record))}
    found = []
    for process in psutil.process_iter():
        try:
            is_ours = os.getsid(process.pid) in ours or mark_of(process) == str(record)
            if is_ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue  # it ended meanwhile, or it is somebody else's
    return found


def mark_of(process):
    """Return the mark that a psutil.Process carries, or None if it has none that can be read."""
    try:
        return process.environ().get(MARK)
    except SystemError:  # so says psutil on macOS of a process that is ending (its issue 2854)
        return None


def is_watchdog(process):
    """Return whether a psutil.Process is the watchdog of a tree."""
    with contextlib.suppress(psutil.Error):
        return "airflow_sandbox.process_tree" in process.cmdline()
    return False


def end(record):
    """Kill the tree of the record file; return how many processes that took.

    What they had in their folder for temporary files goes, too. Raises TimeoutError if some are
    still there after PATIENCE seconds.
    """
    killed = set()
    deadline = time.monotonic() + PATIENCE
    # What the watchdog has not seen yet: on macOS, the bash of a task that has just begun.
    with contextlib.suppress(OSError, ValueError):
        remember_descendants(record)
    # More than one round: a process may have forked between the look and the kill.
    alive = members(record)
    while alive:
        if time.monotonic() > deadline:
            raise TimeoutError("processes that can't be ended: %s" % [p.pid for p in alive])
        for process in alive:
            if is_watchdog(process):
                continue  # of a tree in this one: it ends that, with what is just being started
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
            killed.add(process.pid)
        psutil.wait_procs(alive, timeout=1)
        alive = members(record)
    shutil.rmtree(str(temporary(record)), ignore_errors=True)
    record.write_text("")
    with contextlib.suppress(FileNotFoundError):
        started_by(record).unlink()
    return len(killed)


def temporary(record):
    """Return the folder for the temporary files of a tree, some of which hold secrets."""
    return record.with_suffix(".tmp")


class ProcessTree:
    """A context whose processes are gone when it is left, or when this process dies.

    record: path of the file that remembers the sessions, and whose lock makes sure that there is
    one tree a record at a time: entering raises BlockingIOError if there is another, or a UserError
    with the message busy.
    leftovers: how many processes of an earlier tree had to be ended first.
    """

    def __init__(self, record, busy=None):
        self.record, self._busy = Path(record), busy
        self._started, self.leftovers = False, 0

    def __enter__(self):
        self._lock = self.record.open("a")
        # The watchdog of a tree that was just killed holds the lock, too, until it is done.
        deadline = time.monotonic() + WATCHDOG_PATIENCE
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    self._lock.close()
                    if self._busy:
                        raise UserError(self._busy) from None
                    raise
                time.sleep(0.1)
        self.leftovers = end(self.record)
        self._watchdog = subprocess.Popen(
            [sys.executable, "-m", "airflow_sandbox.process_tree", str(self.record)],
            stdin=subprocess.PIPE,
            pass_fds=[self._lock.fileno()],
            cwd=str(self.record.parent),  # which start() uses
            start_new_session=True,  # Ctrl-C is for this process, which then closes the pipe
        )
        return self

    def __exit__(self, *exception):
        self.end()
        self._watchdog.stdin.close()
        self._watchdog.wait(PATIENCE)
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
        folder = temporary(self.record)
        folder.mkdir(mode=0o700, exist_ok=True)
        # Linux has a short path for it, too.
        short = f"/proc/{self._watchdog.pid}/cwd/{folder.name}"
        is_long = len(os.fsencode(str(folder))) > LONGEST_TMPDIR
        process = subprocess.Popen(
            command,
            stdin=stdin,
            stdout=output,
            stderr=subprocess.STDOUT if output else None,
            start_new_session=True,
            env={
                **os.environ,
                "TMPDIR": short if is_long and os.path.exists(short) else str(folder),
                **environment,
                MARK: str(self.record),
            },
        )
        with self.record.open("a") as record:
            record.write(f"{process.pid} {created_at(process.pid)}\n")
        return process


if __name__ == "__main__":
    # The watchdog. Its standard input ends when the process is gone that holds the other end of it.
    ignore_signals()
    record = Path(sys.argv[1])
    while not select.select([sys.stdin], [], [], LOOK)[0]:
        with contextlib.suppress(OSError, ValueError):  # a full disk must not end the watchdog
            remember_descendants(record)
    end(record)
