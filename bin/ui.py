#!/usr/bin/env python3
r"""Serve Airflow's web pages until Ctrl-C or `make stop`.

Usage:   bin/sandbox bin/ui.py --port PORT --health PATH COMMAND , COMMAND ...
         bin/sandbox bin/ui.py --stop
Example: bin/sandbox bin/ui.py --port 8080 --health /health \
             airflow webserver -p 8080 , airflow scheduler

The commands start the servers; the first is that of the pages. They are ready when each PATH
answers and knows of a sign of life from every server since its start; then their address and the
login are printed. Their output is in $AIRFLOW_HOME/logs. Should one end by itself, so do all.
--tell FD also writes the address to that file descriptor, for whoever wants to open it.

--new-user COMMAND makes the user admin in an Airflow that keeps its users in the database; it has
to ask for the password twice, as Airflow's own do. The password is in $AIRFLOW_HOME/login.json,
which only you can read, and is made at the first start. It is printed on a terminal alone.

Exit codes: 0 ended as asked (or, with --stop, nothing was running), 1 it could not run or a server
ended by itself, 2 wrong usage.
"""

import argparse
import contextlib
import http.client
import json
import os
import secrets
import shlex
import socket
import subprocess
import sys
import time
from datetime import datetime, timezone
from itertools import groupby
from pathlib import Path

import psutil
from interruption import Interrupted, catch_signals
from metadata_db import MetadataDB
from process_tree import ProcessTree
from waiting import Asking, status_line

HOST = "127.0.0.1"
USER = "admin"  # the one user that Airflow 3 has if nobody configures others
PASSWORD_BYTES = 12  # 96 bits, 16 letters: nobody guesses it, and it can still be typed
TICK = 0.2  # seconds between two looks at servers that get ready
START_TIMEOUT = 300  # seconds to get ready: some 15 on a laptop, far more on a Pi
STOP_TIMEOUT = 30  # seconds that --stop waits for the end; it takes one or two
LOG_TAIL = 15  # lines shown of a dead server's log


class CannotServe(Exception):
    """The pages can't be served (any more); the message says why and what to do."""


class Running:
    """The file that says who serves the pages of an AIRFLOW_HOME, and at which port.

    One line, for bin/refuse-beside-ui to read as well: process number, port, and when the process
    began, in the words of bin/processes.sh. It counts only while the tree's record is locked.
    """

    def __init__(self, home):
        self.record = home / "ui.processes"
        self.file = home / "ui.running"

    def write(self, port):
        script = Path(__file__).with_name("processes.sh")
        birth = '. "$0" && birth_of "$1"'
        born = subprocess.check_output(["bash", "-c", birth, str(script), str(os.getpid())])
        new = self.file.with_suffix(".new")
        new.write_text(f"{os.getpid()} {port} {born.decode()}")
        new.replace(self.file)

    def read(self):
        """Return (process number, port), or None if nobody has written it."""
        try:
            pid, port, _ = self.file.read_text().split(None, 2)
        except FileNotFoundError:
            return None
        return int(pid), int(port)

    def remove(self):
        with contextlib.suppress(FileNotFoundError):
            self.file.unlink()


def url(port):
    return f"http://{HOST}:{port}/"


def shown(path):
    """Return a path as a user would type it: relative if it is below the current directory."""
    relative = os.path.relpath(str(path))
    return str(path) if relative.startswith("..") else relative


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
    # ...but with that option macOS also overlooks who listens to all devices.
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) != 0


def refuse_taken(port):
    """Raise CannotServe if the port is taken, with who has it and another one that is free."""
    if is_free(port):
        return
    owner = listeners(psutil.process_iter()).get(port)
    try:
        command = " ".join(" ".join(owner.cmdline()).split())
        who = f"{command[:60]} (process {owner.pid})"
    except (AttributeError, psutil.Error):
        who = "a process that this user may not look at"
    other = next(number for number in range(port + 1, 65536) if is_free(number))
    edition = os.environ.get("EDITION", "3")
    again = f"make ui PORT={other}" + (f" EDITION={edition}" if edition != "3" else "")
    raise CannotServe(f"port {port} is taken by {who}; end that, or choose another: {again}")


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


class UI:
    """The servers of the web pages, from their start to their end.

    commands: a list of words for each server, that of the pages first. port: of the pages. health:
    the paths there that answer when all is well. new_user: a command, or None. home: AIRFLOW_HOME,
    with a migrated database.
    """

    def __init__(self, commands, port, health, new_user, home):
        self.port, self.health, self.new_user, self.home = port, health, new_user, home
        self.commands = commands
        self.servers = {}  # {name: (Popen, log file)}
        self.running = Running(home)

    def serve(self, ready):
        """Start all, call ready(password) when they are ready, then wait until one ends.

        Raises CannotServe then, BlockingIOError if these pages are being served already.
        """
        with ProcessTree(self.running.record) as self.tree:
            try:
                if self.tree.leftovers:
                    print(f"   repaired: ended {self.tree.leftovers} processes of killed servers")
                refuse_taken(self.port)
                self.running.write(self.port)
                self.remove_pid_files()
                password = self.prepare_login()
                for command in self.commands:
                    self.start(command)
                self.wait_until_ready()
                ready(password)
                os.wait()  # for the first of all to end
                self.check()
                raise CannotServe("the guard of the servers was killed, so they were ended, too")
            finally:
                self.tree.end()
                self.remove_pid_files()
                self.running.remove()

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
        database = MetadataDB(self.home / "airflow.db")
        if password is None:
            # In this order: should it be cut short, what the file has is the user's, or there is
            # no user yet.
            database.remove_web_user(USER)
            password = new_password(file)
        if not database.has_web_user(USER):
            log = self.home / "logs" / "new-user.log"
            print(f"   $ {self.new_user}   (log: {shown(log)})")
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("wb") as output:
                # Without a terminal it asks its standard input: no other user can see it there, as
                # they could among the words of a command.
                command = shlex.split(self.new_user)
                process = self.tree.start(command, output, stdin=subprocess.PIPE)
            process.communicate(f"{password}\n{password}\n".encode())
            if not database.has_web_user(USER):
                raise CannotServe(f"the user {USER} could not be made; see {shown(log)}")
        return password

    def start(self, command):
        """Start a server, named like the command's second word: airflow api-server."""
        name = command[1]
        log = self.home / "logs" / (name + ".log")
        print(f"   $ {' '.join(map(shlex.quote, command))}   (log: {shown(log)})")
        log.parent.mkdir(parents=True, exist_ok=True)
        login = str(self.home / "login.json")
        with log.open("wb") as output:
            process = self.tree.start(
                command, output, AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE=login
            )
        if os.environ.get("V"):
            self.tree.start(["tail", "-n", "+1", "-f", str(log)])
        self.servers[name] = process, log

    def wait_until_ready(self):
        """Wait until every server is ready, and say so of each."""
        began = time.monotonic()
        now = datetime.now(timezone.utc).isoformat()
        waiting = list(self.servers)
        with Asking(self.ask) as asking, status_line() as show:
            while waiting:
                seconds = int(time.monotonic() - began)
                show(f"   starting: {', '.join(waiting)} ({seconds} s)")
                self.check()
                health = asking.answer or {}
                for name in [name for name in waiting if is_ready(name, health, now)]:
                    waiting.remove(name)
                    show()
                    print(f"   {name} is ready after {seconds} s")
                if waiting and seconds > START_TIMEOUT:
                    raise CannotServe(
                        f"waited {START_TIMEOUT} s for: {', '.join(waiting)};"
                        f" the logs are in {shown(self.home / 'logs')}"
                    )
                time.sleep(TICK)

    def ask(self):
        """Return all that the health addresses answer, as one dict; {} if not all of them do."""
        page_server, _ = next(iter(self.servers.values()))
        try:
            ours = [psutil.Process(page_server.pid)]
            ours += ours[0].children(recursive=True)
        except psutil.NoSuchProcess:
            return {}
        if self.port not in listeners(ours):  # who answers there now is somebody else
            return {}
        health = {}
        for path in self.health:
            connection = http.client.HTTPConnection(HOST, self.port, timeout=START_TIMEOUT)
            with contextlib.closing(connection):
                try:
                    connection.request("GET", path)
                    answer = connection.getresponse()
                    health.update(json.loads(answer.read()))
                except (OSError, ValueError, http.client.HTTPException):
                    return {}
                if answer.status != 200:
                    return {}
        return health

    def check(self):
        """Raise CannotServe if a server has died."""
        for name, (process, log) in self.servers.items():
            if process.poll() is not None:
                end = log.read_text(errors="replace").splitlines()[-LOG_TAIL:]
                end = "".join(f"     | {line}\n" for line in end)
                raise CannotServe(
                    f"the {name} ended by itself, so all have been ended; the end of"
                    f" {shown(log)}:\n{end}ui: to start again: make ui"
                )


def is_ready(name, health, since):
    """Return whether the health addresses know of a life sign of the server since that time.

    since: ISO 8601, in UTC, as are Airflow's. A server that they do not mention is that of the
    pages, which is ready if they answer.
    """
    name = name.replace("-", "_")
    if name not in health:
        return bool(health)
    beat = health[name].get(f"latest_{name}_heartbeat") or ""
    return health[name]["status"] == "healthy" and beat[:19] > since[:19]


def stop(home):
    """End the servers of this AIRFLOW_HOME, and whatever else is left of them; say what was."""
    running = Running(home)
    if not running.record.exists():
        print("   nothing is being served")
        return
    try:
        with ProcessTree(running.record) as tree:
            running.remove()
            if tree.leftovers:
                print(f"   ended {tree.leftovers} processes that killed servers had left")
            else:
                print("   nothing is being served")
    except BlockingIOError:
        found = running.read()
        if found is None:
            raise CannotServe("they are just starting or ending; once more: make stop") from None
        pid, port = found
        with contextlib.suppress(psutil.NoSuchProcess):
            server = psutil.Process(pid)
            server.terminate()
            server.wait(STOP_TIMEOUT)
        with ProcessTree(running.record):  # only when all is gone
            print(f"   ended: {url(port)}")


def tell(descriptor, text):
    """Write a line to a file descriptor that may be closed, or that nobody may read any more."""
    with contextlib.suppress(OSError), os.fdopen(descriptor, "w") as listener:
        print(text, file=listener)


def parse(arguments):
    """Return the parsed arguments, checked; exits with 2 and one line if they are wrong."""
    parser = argparse.ArgumentParser(
        prog="ui", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int)
    parser.add_argument("--health", action="append", metavar="PATH")
    parser.add_argument("--new-user", metavar="COMMAND")
    parser.add_argument("--tell", type=int, metavar="FD")
    parser.add_argument("--stop", action="store_true")
    parser.add_argument("servers", nargs=argparse.REMAINDER, metavar="COMMAND , COMMAND")
    args = parser.parse_args(arguments)
    args.servers = [list(words) for comma, words in groupby(args.servers, ",".__eq__) if not comma]
    named = all(len(words) > 1 for words in args.servers)
    if not args.stop and not (args.port and args.health and args.servers and named):
        parser.error("expected --port, --health and the servers' commands, or --stop")
    if args.port and not 1024 <= args.port <= 65535:
        parser.error(f"--port {args.port} is not between 1024 and 65535")
    return args


def main(arguments=None):
    """Serve or stop as the arguments say; return the exit code."""
    args = parse(arguments)
    sys.stdout.reconfigure(line_buffering=True)  # in a pipe, too
    if "AIRFLOW_HOME" not in os.environ:
        print("ui: AIRFLOW_HOME is not set; run it with: bin/sandbox bin/ui.py", file=sys.stderr)
        return 2
    home = Path(os.environ["AIRFLOW_HOME"])

    def ready(password):
        if not sys.stdout.isatty():  # whoever reads this need not be who may log in
            password = "in " + shown(home / "login.json")
        print(f"\n   Airflow is at {url(args.port)}")
        print(f"   log in as {USER}, the password is {password}")
        print("   to end it: Ctrl-C here, or make stop elsewhere")
        if args.tell is not None:
            tell(args.tell, url(args.port))

    catch_signals()
    try:
        if args.stop:
            stop(home)
        else:
            UI(args.servers, args.port, args.health, args.new_user, home).serve(ready)
    except BlockingIOError:
        found = Running(home).read()
        where = "at " + url(found[1]) if found else "here"
        print(
            f"ui: Airflow is being served {where} already; end it with: make stop", file=sys.stderr
        )
        return 1
    except (CannotServe, OSError, psutil.Error) as error:
        print(f"ui: {error}", file=sys.stderr)
        return 1
    except Interrupted:
        print("\n   all servers have been ended")
    return 0


if __name__ == "__main__":
    sys.exit(main())
