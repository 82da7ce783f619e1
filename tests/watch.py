"""A look over the shoulder of all the processes that work for a checkout."""

import ipaddress
import os
import socket
import threading

import psutil

GLANCE = 0.05  # seconds between two looks at the processes; what listens does so for longer


class Watch(threading.Thread):
    """Sees what the processes that work for an AIRFLOW_HOME do, while it is entered.

    A process belongs to them by its environment, or if its parent or its session's leader does.
    .listening: {(protocol, address): command line of who listens there}, .commands: all command
    lines.
    """

    def __init__(self, home):
        super().__init__(daemon=True)
        self.home = str(home)
        self.pids = set()
        self.listening = {}
        self.commands = set()
        self.ended = threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exception):
        self.ended.set()
        self.join()

    def run(self):
        while not self.ended.wait(GLANCE):
            for process in psutil.process_iter():
                try:
                    if self.is_ours(process):
                        self.look_at(process)
                except (psutil.Error, OSError):
                    continue  # it ended meanwhile, or it is somebody else's

    def is_ours(self, process):
        relatives = {process.pid, process.ppid(), os.getsid(process.pid)}
        return relatives & self.pids or process.environ().get("AIRFLOW_HOME") == self.home

    def look_at(self, process):
        self.pids.add(process.pid)
        command = " ".join(process.cmdline()).strip()
        self.commands.add(command)
        for found in process.net_connections("inet"):
            if found.type == socket.SOCK_STREAM and found.status == psutil.CONN_LISTEN:
                self.listening["TCP", found.laddr.ip] = command
            elif found.type == socket.SOCK_DGRAM and found.laddr and not found.raddr:
                self.listening["UDP", found.laddr.ip] = command

    def open_to_the_network(self):
        """Return what of .listening is not for this machine alone."""
        return {
            (protocol, address): command
            for (protocol, address), command in self.listening.items()
            if not ipaddress.ip_address(address).is_loopback
        }
