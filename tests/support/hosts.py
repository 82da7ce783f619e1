"""Hosts with addresses of their own on one machine: network namespaces on one bridge."""

import os
import shutil
import signal
import subprocess

import pytest

SWITCH = "switch"


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


class Hosts:
    """A context of network namespaces that reach each other, and nothing else.

    names: of the hosts. address: {name: IPv4 address}. Skips where a machine allows none of this.
    """

    def __init__(self, *names):
        self.address = {name: f"10.77.0.{number}" for number, name in enumerate(names, 1)}

    def namespace(self, name):
        return f"kit-{os.getpid()}-{name}"

    def __enter__(self):
        if os.geteuid() or not shutil.which("ip"):
            pytest.skip("to make hosts takes root, and ip (of iproute2)")
        switch = self.namespace(SWITCH)
        try:
            ip("netns", "add", switch)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"this machine allows no network namespaces: {error.stderr}")
        ip("-n", switch, "link", "add", "bridge", "type", "bridge")
        ip("-n", switch, "link", "set", "bridge", "up")
        for name, address in self.address.items():
            host = self.namespace(name)
            ip("netns", "add", host)
            ip("-n", host, "link", "add", "eth0", "type", "veth", "peer", name, "netns", switch)
            ip("-n", switch, "link", "set", name, "master", "bridge", "up")
            ip("-n", host, "addr", "add", f"{address}/24", "dev", "eth0")
            for device in "lo", "eth0":
                ip("-n", host, "link", "set", device, "up")
        return self

    def __exit__(self, *exception):
        for name in self.address:
            self.kill(name)
        for name in [*self.address, SWITCH]:
            ip("netns", "del", self.namespace(name))

    def enter(self, name):
        """Return the words that go before a command to run it on a host."""
        return ["ip", "netns", "exec", self.namespace(name)]

    def cut_off(self, name):
        """Pull out a host's cable."""
        ip("-n", self.namespace(SWITCH), "link", "set", name, "down")

    def kill(self, name):
        """Switch a host off: kill -9 all that runs there."""
        while pids := self.processes(name):
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue

    def processes(self, name):
        """Return the numbers of the processes that run on a host."""
        command = ["ip", "netns", "pids", self.namespace(name)]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return [int(pid) for pid in printed.split()]
