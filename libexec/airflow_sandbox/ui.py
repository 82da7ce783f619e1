"""The Airflow UI: the servers that serve it, who may log in, and how to stop them. (Python 3.7)"""

import contextlib
import fcntl
import http.client
import json
import os
import secrets
import shlex
import subprocess
import time
from datetime import datetime, timezone

import psutil

from airflow_sandbox.commands import make_command
from airflow_sandbox.errors import UserError
from airflow_sandbox.metadata_db import open_database
from airflow_sandbox.paths import dags_folder, shown, write_whole
from airflow_sandbox.process_tree import ProcessTree, created_at, members
from airflow_sandbox.servers import HOST, Servers, is_free, listeners, url
from airflow_sandbox.waiting import Asking, status_line

USER = "admin"  # the one user that Airflow 3 has if nobody configures others
PASSWORD_BYTES = 12  # 96 bits, 16 letters: nobody guesses it, and it can still be typed
TICK = 0.2  # seconds between two looks at servers that get ready
START_TIMEOUT = 300  # seconds to get ready: some 15 on a laptop, far more on a Pi
NOTHING = "the Airflow UI is not running"
STOP_TIMEOUT = 30  # seconds that stop() waits for the end; it takes one or two


def record_of(home):
    """Return the file of the process tree of the servers of an AIRFLOW_HOME."""
    return home / "ui.processes"


# AIRFLOW_HOME/ui.running names who serves the UI, for libexec/refuse-beside-ui as well: process
# number, port, and when the process was created. It counts only while the lock of the tree's record
# is held.
def who_serves(home):
    """Return (process number, port, when created) of who serves the UI, or None; it may have been
    killed."""
    try:
        pid, port, created = (home / "ui.running").read_text().split()
    except FileNotFoundError:
        return None
    return int(pid), int(port), float(created)


def _say_that_we_serve(home, port):
    write_whole(home / "ui.running", f"{os.getpid()} {port} {created_at(os.getpid())}\n")


def _say_that_nobody_serves(home):
    for name in "ui.running", "warm.socket":
        with contextlib.suppress(FileNotFoundError):
            (home / name).unlink()


def refuse_taken(port):
    """Raise UserError if the port is taken, with who has it and another one that is free."""
    if is_free(port):
        return
    owner = listeners(psutil.process_iter()).get(port)
    try:
        command = " ".join(" ".join(owner.cmdline()).split())
        who = f"{command[:60]} (process {owner.pid})"
    except (AttributeError, psutil.Error):
        who = "a process that this user may not look at"
    other = next(number for number in range(port + 1, 65536) if is_free(number))
    again = make_command("ui", given=True, PORT=other)
    raise UserError(f"port {port} is taken by {who}; end that, or choose another: {again}")


def read_password(file):
    """Return the password in a login file, or None if there is no such file or it is broken."""
    try:
        file.chmod(0o600)
        return str(json.loads(file.read_text())[USER]) or None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def new_password(file):
    """Make a login file with a new password; return that."""
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    with contextlib.suppress(FileNotFoundError):
        file.unlink()
    file.touch(mode=0o600)
    file.write_text(json.dumps({USER: password}) + "\n")
    return password


class UIServers:
    """The servers of the UI, from their start to their end.

    commands: a list of words for each server, that of the UI first. port: of the UI. health:
    the paths there that answer when all is well. new_user: a command, or None. home: AIRFLOW_HOME,
    with a migrated database. workers: CeleryWorkers, or None. warm: whether an Airflow that is
    loaded takes commands meanwhile (libexec/warm-airflow). restarts: see Servers.
    """

    def __init__(
        self, commands, port, health, new_user, home, workers=None, warm=False, restarts=0
    ):
        self.port, self.health, self.new_user, self.home = port, health, new_user, home
        self.workers, self.warm = workers, warm
        self.tree = ProcessTree(record_of(home))
        self.servers = Servers(self.tree, home / "logs", restarts)
        # A server has the name of its command's second word: airflow api-server.
        self.commands = {command[1]: command for command in commands}

    def serve(self, ready):
        """Start all, call ready(password) when they are ready, then wait until one ends.

        Raises UserError then, or if this UI is being served already.
        """
        try:
            with self.tree:
                refuse_taken(self.port)
                self._serve(ready)
        except BlockingIOError:
            found = who_serves(self.home)
            where = "at " + url(found[1]) if found else "here"
            stop = make_command("stop")
            raise UserError(f"Airflow is being served {where} already; end it: {stop}") from None

    def _serve(self, ready):
        try:
            if self.tree.leftovers:
                print(f"   repaired: ended {self.tree.leftovers} processes of killed servers")
            _say_that_we_serve(self.home, self.port)
            self.remove_pid_files()
            password = self.prepare_login()
            passwords = str(self.home / "login.json")
            environment = {"AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": passwords}
            if self.workers:
                environment.update(self.workers.environment())
            for name, command in self.commands.items():
                self.servers.start(name, command, **environment)
            if self.workers:
                self.workers.start(self.servers)
            self.wait_until_ready()
            if self.warm:
                self.servers.start("warm-airflow", ["libexec/warm-airflow"])
            ready(password)
            left = None
            while left != self.servers.restarts:  # one has ended, and was started again
                left = self.servers.restarts
                os.wait()  # for the first of all to end
                self.servers.check()
            raise UserError("the watchdog of the servers was killed, so they were ended, too")
        except UserError as error:
            again = make_command("ui", given=True)
            raise UserError(f"{error}\nui: to start it again: {again}") from error
        finally:
            self.tree.end()
            self.remove_pid_files()
            _say_that_nobody_serves(self.home)

    def remove_pid_files(self):
        """Airflow 1 and 2 would take a new process with an old number for a running server."""
        for file in self.home.glob("airflow-*.pid"):
            file.unlink()

    def prepare_login(self):
        """See to it that the password of the login file is the user's; return it."""
        file = self.home / "login.json"
        password = read_password(file)
        if self.new_user is None:
            return password or new_password(file)
        database = open_database(self.home)
        if password is None:
            # In this order: if it is cut short, the file has the user's, or there is no user yet.
            database.remove_web_user(USER)
            password = new_password(file)
        if not database.has_web_user(USER):
            # Without a terminal it asks its standard input: no other user can see it there, as
            # they could among the words of a command.
            process, log = self.servers.run(
                "new-user", shlex.split(self.new_user), stdin=subprocess.PIPE
            )
            process.communicate(f"{password}\n{password}\n".encode())
            if not database.has_web_user(USER):
                raise UserError(f"the user {USER} could not be made; see {shown(log)}")
        return password

    def wait_until_ready(self):
        """Wait until every server is ready, and say so of each."""
        began = time.monotonic()
        now = datetime.now(timezone.utc).isoformat()
        waiting = list(self.commands)
        with Asking(self.ask) as asking, status_line() as show:
            while waiting:
                seconds = int(time.monotonic() - began)
                show(f"   starting: {', '.join(waiting)} ({seconds} s)")
                self.servers.check()
                health = asking.answer or {}
                for name in [name for name in waiting if is_ready(name, health, now)]:
                    waiting.remove(name)
                    show()
                    print(f"   {name} is ready after {seconds} s")
                if waiting and seconds > START_TIMEOUT:
                    raise UserError(
                        f"waited {START_TIMEOUT} s for: {', '.join(waiting)};"
                        f" the logs are in {shown(self.home / 'logs')}"
                    )
                time.sleep(TICK)

    def ask(self):
        """Return all that the health addresses answer, as one dict; {} if not all of them do."""
        page_server = self.servers.process(next(iter(self.commands)))
        try:
            ours = [psutil.Process(page_server.pid)]
            ours += ours[0].children(recursive=True)
        except psutil.NoSuchProcess:
            return {}
        return health(self.port, ours, self.health)


def health(port, processes, paths):
    """Return what paths at a port answer, as one dict; {} if not all do, or none of the processes
    listens there: then it is somebody else who answers."""
    found = {}
    if port not in listeners(processes):
        return found
    for path in paths:
        connection = http.client.HTTPConnection(HOST, port, timeout=START_TIMEOUT)
        with contextlib.closing(connection):
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                found.update(json.loads(answer.read()))
            except (OSError, ValueError, http.client.HTTPException):
                return {}
            if answer.status != 200:
                return {}
    return found


def is_ready(name, health, since):
    """Return whether the health addresses know of a life sign of the server since that time.

    since: ISO 8601, in UTC, as are Airflow's. A server that they do not mention is that of the UI,
    which is ready if they answer.
    """
    name = name.replace("-", "_")
    if name not in health:
        return bool(health)
    beat = health[name].get(f"latest_{name}_heartbeat") or ""
    return health[name]["status"] == "healthy" and beat[:19] > since[:19]


def find_running(home):
    """Return the RunningUI of an AIRFLOW_HOME, or None if its UI is not being served."""
    found = who_serves(home)
    ui = found and RunningUI(home, *found[:2])
    return ui if ui and ui.is_alive() else None


class RunningUI:
    """The UI of an AIRFLOW_HOME that another process serves, for a backfill on its servers."""

    def __init__(self, home, pid, port):
        self.pid, self.port, self.record = pid, port, record_of(home)

    def is_alive(self):
        """Return whether its servers have not been ended; they need not be ready yet."""
        with self.record.open() as record:
            try:
                fcntl.flock(record, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True  # libexec/ui holds it, for as long as it lives
        return False

    def dags_folder(self):
        """Return the DAGs folder that it serves, a Path."""
        environment = os.environ  # unless it may be looked at
        with contextlib.suppress(psutil.Error, SystemError):
            environment = psutil.Process(self.pid).environ()
        return dags_folder(self.record.parent, environment)

    def is_ready(self):
        """Return whether its execution API answers, which the tasks talk to."""
        return bool(health(self.port, members(self.record), ["/execution/health"]))

    def page_of(self, dag_id, runs):
        """Return the address of the page of a DAG run, or, for several of them, of their DAG.

        runs: a list of metadata_db.Run. (A page that shows a finished run is not brought up to date
        when that starts again; one that is opened while it runs is.)
        """
        page = f"{url(self.port)}dags/{dag_id}"
        return f"{page}/runs/{runs[0].run_id}" if len(runs) == 1 else page


def stop(home):
    """End the servers of this AIRFLOW_HOME, and whatever else is left of them; say what was."""
    if not record_of(home).exists():
        print(f"   {NOTHING}")
        return
    try:
        with ProcessTree(record_of(home)) as tree:
            _say_that_nobody_serves(home)
            left = f"ended {tree.leftovers} processes that killed servers had left"
            print(f"   {left if tree.leftovers else NOTHING}")
    except BlockingIOError:
        found = who_serves(home)
        if found is None:
            again = make_command("stop")
            raise UserError(f"it is just starting or ending; once more: {again}") from None
        pid, port, created = found
        if created_at(pid) != created:
            where = "in another container or on another machine"
            raise UserError(f"it is served {where}; end it there") from None
        with contextlib.suppress(psutil.NoSuchProcess):
            server = psutil.Process(pid)
            server.terminate()
            server.wait(STOP_TIMEOUT)
        with ProcessTree(record_of(home)):  # only when all is gone
            print(f"   ended: {url(port)}")
