"""The servers that a command runs: start them, wait for them, see that they live, stop them.

Their output goes to a log file each. With V=1 in the environment it is printed, too. They are in a
ProcessTree, which ends what is left of them. (Python 3.7)
"""

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import time

import psutil

from airflow_sandbox.errors import UserError
from airflow_sandbox.logs import tail
from airflow_sandbox.paths import shown
from airflow_sandbox.waiting import Asking, status_line

HOST = "127.0.0.1"
TICK = 0.1  # seconds between two looks at what is waited for
START_TIMEOUT = 180  # seconds to get ready: some 10 on a laptop, far more on a Pi
RESTART_PAUSE = 2  # seconds before a server is started again


class Servers:
    """The servers of one command.

    tree: a ProcessTree, entered before anything is run. logs: the folder of the log files, a Path.
    restarts: how many times a server that ended by itself is started again, as systemd would.
    """

    def __init__(self, tree, logs, restarts=0):
        self.tree, self.logs, self.restarts = tree, logs, restarts
        self._running = {}  # {name: (Popen, log file, command, environment)}

    def run(self, name, command, stdin=subprocess.DEVNULL, quiet=False, **environment):
        """Start a command that ends by itself, and announce it; return (Popen, path of its log).

        name: of the log file. command: a list of words. environment: variables on top of ours.
        stdin: what subprocess.Popen takes for it. quiet: don't announce it.
        """
        log = self.logs / (name + ".log")
        if not quiet:
            print(f"   $ {' '.join(map(shlex.quote, command))}   (log: {shown(log)})")
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            process = self.tree.start(command, output, stdin, **environment)
        if os.environ.get("V") and not quiet:
            self.tree.start(["tail", "-n", "+1", "-f", str(log)])
        return process, log

    def start(self, name, command, **environment):
        """Start a server: as run(), but from now on check() sees to it that it lives."""
        self._running[name] = (*self.run(name, command, **environment), command, environment)

    def __contains__(self, name):
        return name in self._running

    def process(self, name):
        """Return the Popen of a server."""
        return self._running[name][0]

    def check(self):
        """Raise UserError if one has ended by itself, or start it again."""
        for name, (process, log, command, environment) in list(self._running.items()):
            if process.poll() is not None:
                code = process.returncode
                killed = ", so it was killed" if code == -signal.SIGKILL else ""
                outcome = f"the {name} ended by itself (exit code {code}{killed})"
                if not self.restarts:
                    raise UserError(f"{outcome}; the end of {shown(log)}:\n{tail(log)}")
                self.restarts -= 1
                log = log.replace(log.with_suffix(f".log.{process.pid}"))
                print(f"\n   {outcome} and is started again; its log is now {shown(log)}")
                time.sleep(RESTART_PAUSE)
                self.start(name, command, **environment)

    def stop(self, *names, timeout):
        """Ask servers to end, and wait for that, but at most timeout seconds."""
        processes = [self._running.pop(name)[0] for name in names]
        for process in processes:
            process.terminate()

        def all_ended():
            return all(process.poll() is not None for process in processes)

        with contextlib.suppress(TimeoutError):
            wait(all_ended, f"the {names[0]} to end", self.check, timeout)


def wait(condition, what, check=lambda: None, timeout=START_TIMEOUT):
    """Wait until condition() is true. On a terminal, show the seconds.

    what: for the message, as in "waiting for WHAT". check: is called all the time, to raise an
    exception if there is nothing to wait for any more. Raises TimeoutError after timeout seconds.
    """
    began = time.monotonic()
    with status_line() as show:
        while not condition():
            check()
            seconds = int(time.monotonic() - began)
            if seconds > timeout:
                raise TimeoutError(f"waited {timeout} s for {what}")
            if seconds:
                show(f"   waiting for {what} ({seconds} s)")
            time.sleep(TICK)


def wait_for_answer(ask, what, check=lambda: None, timeout=START_TIMEOUT):
    """The same for a condition that can take long to find out: ask() runs in a thread."""
    with Asking(ask) as asking:
        wait(lambda: asking.answer, what, check, timeout)


def url(port):
    """Return the address of the Airflow UI at a port."""
    return f"http://{HOST}:{port}/"


def listeners(processes):
    """Return {port: psutil.Process} of what these processes listen to, as far as we may know."""
    found = {}
    for process in processes:
        # psutil 6 gave it another name; edition 1.10 has psutil 5.
        look = getattr(process, "net_connections", None) or process.connections
        with contextlib.suppress(psutil.Error, OSError):
            for connection in look("inet"):
                if connection.status == psutil.CONN_LISTEN:
                    found[connection.laddr.port] = process
    return found


def is_free(port):
    """Return whether nobody listens to this port of the loopback device."""
    with socket.socket() as probe:
        # Connections of earlier servers that are being forgotten do not count...
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    # ...but with that option macOS also overlooks servers that listen to all devices.
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) != 0


def free_port():
    """Return the number of a port that nobody listens to."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]
