"""A Postgres server of the checkout's own, which runs for as long as somebody uses it.

Its data are in AIRFLOW_HOME/postgres. It listens to this machine alone, at a port that is free when
it starts, and asks for a generated password. Whoever uses it holds a shared lock on one file, which
the system takes away from a process that dies. A supervisor, a process of its own, starts the
server, and stops it when nobody holds that lock any more. The server is in the supervisor's
ProcessTree, so it ends with the supervisor, however that ends.
"""

import contextlib
import fcntl
import functools
import os
import secrets
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

from airflow_sandbox.errors import UserError
from airflow_sandbox.logs import tail
from airflow_sandbox.paths import shown, write_whole
from airflow_sandbox.process_tree import ProcessTree
from airflow_sandbox.servers import HOST, free_port

USER, DATABASE = "airflow", "postgres"  # the database that each server has
PASSWORD_BYTES = 24
CONNECTIONS = 200  # the default, 100, is what one api-server and two workers come near to
START_TIME = 60  # seconds to get ready: less than one, but after a crash it reads its log first
STOP_TIME = 10  # seconds to write its data down and end
LOOK = 0.1  # seconds between two looks whether anybody still uses it
# Postgres refuses to run as root. In a namespace in which root has the number of nobody, it does.
AS_NOBODY = ["unshare", "--user", "--map-user=65534", "--map-group=65534"]


def data_folder(home):
    """Return the folder of the server's data."""
    return home / "postgres"


@functools.cache
def program(name):
    """Return the path of one of Postgres's programs; raises UserError if it is nowhere."""
    finder = Path(__file__).parent.with_name("find-postgres")
    found = subprocess.run([finder, name], stdout=subprocess.PIPE, text=True).stdout.strip()
    if not found:
        raise UserError(
            f"there is no {name} on this machine; make doctor DB=postgres says what installs it"
        )
    return found


def unprivileged(command):
    """Return a command, as a list of words, so that Postgres runs it for root, too."""
    return command if os.geteuid() else [*AS_NOBODY, *command]


def cluster_command(folder, user, password_file):
    """Return the command that creates the data of a server, whose owner is user, in a folder."""
    return [
        *[program("initdb"), "-D", str(folder), "-U", user, "-A", "scram-sha-256"],
        *[f"--pwfile={password_file}", "-E", "UTF8", "--no-locale", "--no-sync"],
    ]


def server_command(folder, **settings):
    """Return the command that runs a server with the data in a folder, as an unprivileged user."""
    command = [program("postgres"), "-D", str(folder), "-c", "unix_socket_directories="]
    for name, value in {"max_connections": CONNECTIONS, **settings}.items():
        command += ["-c", f"{name}={value}"]
    return unprivileged(command)


def create(home):
    """Create the data folder; print the command. Raises UserError."""
    file = home / "postgres.password"
    write_whole(file, secrets.token_urlsafe(PASSWORD_BYTES) + "\n")
    command = cluster_command(data_folder(home), USER, file)
    print(f"   $ {shlex.join(command)}", flush=True)
    outcome = subprocess.run(unprivileged(command), capture_output=True, text=True)
    if outcome.returncode:
        message = f"initdb failed:\n{outcome.stdout}{outcome.stderr}"
        if not os.geteuid():
            message += "Postgres does not run as root: be another user, or name a server by DB_URL="
        raise UserError(message)


@contextlib.contextmanager
def using(home):
    """Let the server run for the time of a context; yield (its URL, the lock's file descriptor).

    A process that inherits the descriptor uses the server for as long as it lives.
    """
    with (home / "postgres.users").open("a") as users:
        fcntl.flock(users, fcntl.LOCK_SH)  # after one that is just ending
        deadline = time.monotonic() + START_TIME
        supervisor = None
        while not answers(home):
            if (supervisor is None or supervisor.poll() == 0) and not supervisor_lives(home):
                supervisor = start_supervisor(home)
            if supervisor is not None and supervisor.poll():
                log = home / "logs/postgres.log"
                raise UserError(f"Postgres did not start; the end of {shown(log)}:\n{tail(log)}")
            if time.monotonic() > deadline:
                raise UserError(f"waited {START_TIME} s for Postgres; see {shown(home / 'logs')}")
            time.sleep(LOOK)
        yield (home / "postgres.url").read_text().strip(), users.fileno()
    wait_for_its_end(home)


def wait_for_its_end(home):
    """Return when the server has ended, or when somebody else uses it."""
    deadline = time.monotonic() + STOP_TIME
    with (home / "postgres.users").open("a") as users:
        while supervisor_lives(home) and time.monotonic() < deadline:
            if not take(users, fcntl.LOCK_EX) and take(users, fcntl.LOCK_SH):
                return
            fcntl.flock(users, fcntl.LOCK_UN)
            time.sleep(LOOK / 4)


def take(file, kind):
    """Take a lock, and return whether that worked."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def record_of(home):
    """Return the file of the supervisor's process tree."""
    return home / "postgres.processes"


def supervisor_lives(home):
    """Return whether there is a supervisor, or what a killed one has left is being ended."""
    with record_of(home).open("a") as record:
        return not take(record, fcntl.LOCK_SH)


def answers(home):
    """Return whether the server takes connections."""
    try:
        port = (home / "postgres.url").read_text().strip().rpartition(":")[2].partition("/")[0]
    except FileNotFoundError:
        return False
    if not supervisor_lives(home):
        return False
    probe = [program("pg_isready"), "-q", "-h", HOST, "-p", port]
    return subprocess.run(probe, stdin=subprocess.DEVNULL).returncode == 0


def start_supervisor(home):
    """Start the supervisor of an AIRFLOW_HOME; return its Popen."""
    log = home / "logs/postgres.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "airflow_sandbox.postgres", str(home)]
    with log.open("ab") as output:
        options = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": output}
        return subprocess.Popen(command, start_new_session=True, **options)


def keep(home):
    """Run the server until nobody uses it any more; return the exit code."""
    with ProcessTree(record_of(home)) as tree, (home / "postgres.users").open("a") as users:
        if take(users, fcntl.LOCK_EX):
            return 0  # it waited for the end of another one, and nobody is left to serve
        # No server is left by now. Postgres would take any process that has the number in there for
        # one, even a zombie.
        (data_folder(home) / "postmaster.pid").unlink(missing_ok=True)
        port = free_port()
        password = (home / "postgres.password").read_text().strip()
        address = f"{USER}:{password}@{HOST}:{port}/{DATABASE}"
        write_whole(home / "postgres.url", f"postgresql+psycopg://{address}\n")
        # Shared memory in the data folder: a killed server leaves nothing in /dev/shm.
        settings = {"listen_addresses": HOST, "port": port, "dynamic_shared_memory_type": "mmap"}
        server = tree.start(server_command(data_folder(home), **settings), sys.stdout)
        while not take(users, fcntl.LOCK_EX):
            if server.poll() is not None:
                return 1
            time.sleep(LOOK)
        # "Fast": it ends its sessions, of which there are none, and writes its data down.
        server.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(STOP_TIME)
        (home / "postgres.url").unlink()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(keep(Path(sys.argv[1])))
    except BlockingIOError:
        sys.exit(0)  # there is another supervisor
    except UserError as error:
        sys.exit(str(error))
