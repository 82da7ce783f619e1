"""A look over the shoulder of all the processes that a test starts."""

import ipaddress
import os
import socket
import threading

import psutil

GLANCE = 0.3  # seconds between two looks at the processes; what listens does so for longer


class Watch(threading.Thread):
    """Sees what this process's children do while it is entered, and theirs, and so on.

    A child that was left by its parent is still in the session of one of them.
    .listening: {(protocol, address): command line of who listens there}, .commands: all command
    lines.
    """

    def __init__(self):
        super().__init__(daemon=True)
        self.pids = {os.getpid()}
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
                    if {process.ppid(), os.getsid(process.pid)} & self.pids:
                        self.look_at(process)
                except (psutil.Error, OSError):
                    continue  # it ended meanwhile, or it is somebody else's

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
