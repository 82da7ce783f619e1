"""The web pages as `make ui` serves them."""

import contextlib
import http.client
import json
import shutil
import socket
import time

import psutil
import pytest
from airflow_sandbox.process_tree import members
from airflow_sandbox.servers import HOST, free_port
from support.checkouts import read_until

READY = r"log in as admin"


class Served:
    """`make ui` in a checkout, at a free port, from its start until it prints a certain line."""

    def __init__(self, checkout, until, *arguments):
        self.checkout, self.port, self.arguments = checkout, free_port(), arguments
        self.make = checkout.start("make", "ui", f"PORT={self.port}", *arguments)
        self.output = read_until(self.make, until)

    def processes(self):
        """Return all processes of the servers, as psutil.Process."""
        return members(self.checkout.home / "ui.processes")

    def listening(self):
        """Return the addresses that the servers listen to."""
        sockets = sockets_of(self.processes())
        return [each.laddr for each in sockets if each.status == psutil.CONN_LISTEN]

    def leaders(self):
        """Return the process numbers of the servers, that of the pages first."""
        record = (self.checkout.home / "ui.processes").read_text()
        return [int(line.split()[0]) for line in record.splitlines()]

    def script(self):
        """Return the psutil.Process of libexec/ui."""
        return psutil.Process(int((self.checkout.home / "ui.running").read_text().split()[0]))

    def request(self, method, path, token=None, **body):
        """Return (status, text) of the answer to a request."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=60)
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        try:
            connection.request(method, path, json.dumps(body) if body else None, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def stop(self):
        """End it, if it has not been ended yet."""
        self.checkout.make("stop", *self.arguments)
        self.make.communicate(timeout=60)

    def log_in(self, password):
        """Return (status, text) of the answer to an attempt to log in."""
        return self.request("POST", "/auth/token", username="admin", password=password)

    def token(self):
        """Return what the API takes for a login."""
        return json.loads(self.log_in(password_of(self))[1])["access_token"]

    def ask(self, path, method="GET", **body):
        """Return the API's answer to a request of somebody who is logged in."""
        status, text = self.request(method, "/api/v2/" + path, self.token(), **body)
        assert status == 200, text
        return json.loads(text)


def sockets_of(processes):
    """Return what these processes have open to the network, as psutil has it."""
    found = []
    for process in processes:
        with contextlib.suppress(psutil.Error):  # it has just ended
            found += process.net_connections()
    return found


def password_of(served):
    return json.loads((served.checkout.home / "login.json").read_text())["admin"]


def alive(processes):
    """Return those that run; a process that only waits for its parent to take note has ended."""
    found = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def nothing_is_left(served, processes, seconds=10):
    """Wait for the end of processes; assert that no other trace of the servers is there."""
    deadline = time.monotonic() + seconds
    while alive(processes) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert alive(processes) == []
    home = served.checkout.home
    assert not [*home.glob("*.pid"), *home.glob("*.new")]
    with socket.socket() as probe:
        assert probe.connect_ex((HOST, served.port)) != 0
    # The record and its lock, too: the next one starts at once, with nothing to repair.
    stopped = served.checkout.make("stop")
    assert (stopped.returncode, stopped.stdout.strip()) == (0, "the Airflow UI is not running")
    assert not (home / "ui.running").exists()


def find_browser():
    """Return the paths of (browser, chromedriver); skips where there is none."""
    names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"]
    names += ["/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"]
    browser = next(filter(None, map(shutil.which, names)), None)
    driver = shutil.which("chromedriver")
    if not browser or not driver:
        pytest.skip("there is no Chromium or Chrome, or no chromedriver beside it, on PATH")
    return browser, driver
