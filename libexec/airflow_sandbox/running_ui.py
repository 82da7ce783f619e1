"""The servers that `make ui` runs, for a backfill that runs beside them (bin/backfill).

It asks of them through Airflow's public REST API, but for one thing. On SQLite, Airflow can't
create a backfill while its scheduler writes to the database: it says "Database is locked" and
takes back what it had created, and the scheduler, which had started on that, crashes. So the
scheduler and the dag-processor have to hold still for that second.
"""

import contextlib
import fcntl
import http.client
import json
import os
import signal
import sqlite3
import subprocess
import time

import psutil

from airflow_sandbox.process_tree import members
from airflow_sandbox.servers import HOST, listeners, url
from airflow_sandbox.ui import USER, read_password, record_of, who_serves

TIMEOUT = 120  # seconds that the API gets to answer; to create a year of DAG runs takes it some 20
LOCKED_TIMEOUT = 30  # seconds to try again for, while the database is locked
TICK = 0.2  # seconds between two tries
STOP_TIME = 1  # seconds that a process gets to hold still
FREE_TIME = 0.1  # seconds that a writer gets to show that it was not stopped in the midst of it


class Refused(Exception):
    """The API did not do what it was asked for; the message says what, and what it answered."""


def find_running_ui(home):
    """Return the RunningUI of an AIRFLOW_HOME, or None if its web pages are not being served."""
    found = who_serves(home)
    if found is None:
        return None
    _, port = found
    ui = RunningUI(home, port)
    return ui if ui.is_alive() else None


class RunningUI:
    """The servers of the web pages of an AIRFLOW_HOME, which have been started at a port."""

    def __init__(self, home, port):
        self.home, self.port = home, port
        self.record = record_of(home)
        self.token = None

    def is_alive(self):
        """Return whether they have not been ended; they need not be ready yet."""
        with self.record.open() as record:
            try:
                fcntl.flock(record, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True  # libexec/ui holds it, for as long as it lives
        return False

    def is_ready(self):
        """Return whether they answer."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            # Whoever else answers at that port must not get to know the password.
            ours = self.port in listeners(members(self.record))
            return ours and self.request("GET", "/execution/health")[0] == 200
        return False

    def switch_on(self, dag_id):
        """Unpause a DAG; return whether it was paused."""
        was_paused = self.call("GET", f"/api/v2/dags/{dag_id}")["is_paused"]
        if was_paused:
            self.call("PATCH", f"/api/v2/dags/{dag_id}?update_mask=is_paused", is_paused=False)
        return was_paused

    def page_of(self, dag_id, runs):
        """Return the address of the page of a DAG run, or, for several of them, of their DAG.

        runs: a list of metadata_db.Run. (A page that shows a finished run is not brought up to date
        when that starts again; one that is opened while it runs is.)
        """
        page = f"{url(self.port)}dags/{dag_id}"
        return f"{page}/runs/{runs[0].run_id}" if len(runs) == 1 else page

    def create_backfill(self, dag_id, start, end, options, has_one_writer):
        """Create a backfill. start, end: dates, inclusive. options: a backfill's Options.

        has_one_writer: the metadata database's, see metadata_db.SQLite.
        """
        with self.others_held_still() if has_one_writer else contextlib.nullcontext():
            self.call(
                "POST",
                "/api/v2/backfills",
                dag_id=dag_id,
                from_date=f"{start}T00:00:00Z",
                to_date=f"{end}T00:00:00Z",
                **options.body(),
            )

    def end_backfill(self, backfill_id, dag_id, unfinished):
        """Close a backfill, and fail its unfinished runs, a list of ids, which ends their tasks."""
        # The conflict is that Airflow has closed it by itself.
        self.call("PUT", f"/api/v2/backfills/{backfill_id}/cancel", but=409)
        for run_id in unfinished:
            self.call("PATCH", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}", state="failed")

    def call(self, method, path, but=None, **body):
        """Return the API's answer to a request; tried again while the database is locked.

        but: a status that is as good as success. Raises Refused.
        """
        if self.token is None:
            login = {"username": USER, "password": read_password(self.home / "login.json")}
            self.token = json.loads(self.request("POST", "/auth/token", login)[1])["access_token"]
        deadline = time.monotonic() + LOCKED_TIMEOUT
        while True:
            status, answer = self.request(method, path, body)
            if status < 300 or status == but:
                return json.loads(answer)
            if status < 500 or time.monotonic() > deadline:
                try:
                    answer = json.loads(answer)["detail"]
                except (ValueError, KeyError, TypeError):
                    answer = f"{method} {path} was answered with {status} {answer}"
                raise Refused(f"Airflow refused it: {answer}")
            time.sleep(TICK)

    def request(self, method, path, body=None):
        """Return the status and the text of the answer to one request."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=TIMEOUT)
        headers = {"Content-Type": "application/json"}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        with contextlib.closing(connection):
            connection.request(method, path, json.dumps(body) if body else None, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    @contextlib.contextmanager
    def others_held_still(self):
        """Stop all servers but that of the API, when none of them writes to the database."""
        everybody = members(self.record)
        api_server = session_of(listeners(everybody)[self.port])
        # Each server has a session of its own; what it has started does not write by itself.
        others = [p for p in everybody if p.pid == session_of(p) and p.pid != api_server]
        # Should this process be killed meanwhile, the end of the pipe is what lets them go on.
        go_on = 'read -r _; kill -CONT "$@" 2>/dev/null'
        waker = subprocess.Popen(
            ["bash", "-c", go_on, "waker", *[str(process.pid) for process in others]],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            deadline = time.monotonic() + LOCKED_TIMEOUT
            while True:
                for process in others:
                    send(process, signal.SIGSTOP)
                if all(map(is_still, others)) and self.database_is_free():
                    break
                for process in others:
                    send(process, signal.SIGCONT)
                if time.monotonic() > deadline:
                    raise TimeoutError(f"the database was locked for {LOCKED_TIMEOUT} s")
                time.sleep(TICK)
            yield
        finally:
            waker.stdin.close()
            waker.wait()

    def database_is_free(self):
        """Return whether nobody is writing to the metadata database."""
        database = sqlite3.connect(
            self.home / "airflow.db", timeout=FREE_TIME, isolation_level=None
        )
        with contextlib.closing(database):
            try:
                database.execute("BEGIN IMMEDIATE")
                database.execute("ROLLBACK")
            except sqlite3.OperationalError:
                return False
        return True


def session_of(process):
    """Return the number of a psutil.Process's session, or None if it has ended."""
    with contextlib.suppress(ProcessLookupError):
        return os.getsid(process.pid)


def send(process, number):
    """Send a signal to a psutil.Process; that it has ended meanwhile is no error."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def is_still(process):
    """Return whether a psutil.Process that was told to stop has done so; it takes its time."""
    with contextlib.suppress(psutil.NoSuchProcess):
        deadline = time.monotonic() + STOP_TIME
        while process.status() not in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE):
            if time.monotonic() > deadline:
                return False
            time.sleep(STOP_TIME / 100)
    return True
