"""Machines that have something wrong with them: other mounts, a disk that gets full."""

import os
import subprocess
from pathlib import Path

import pytest


class Mounts:
    """A mount namespace: what is mounted in it, only commands that run in it can see.

    folder: where those commands run. setup: a shell script that mounts; $1 is the folder. Put
    .enter before a command to run it in here. Skips where a machine allows none of this.
    """

    def __init__(self, folder, setup):
        command = ["unshare", "--mount", "--map-root-user", "sh", "-euc"]
        try:
            self.process = subprocess.Popen(
                [*command, f"{setup}\necho mounted; exec cat", "sh", str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        except FileNotFoundError:
            pytest.skip("this machine has no mount namespaces (unshare)")
        if self.process.stdout.readline() != "mounted\n":
            _, error = self.process.communicate()
            pytest.skip(f"this machine lets nobody mount in a namespace of their own: {error}")
        self.enter = [
            *["nsenter", f"--target={self.process.pid}", "--user", "--mount"],
            "--preserve-credentials",
            # Enter the folder again: the one that nsenter itself is in may lie below a mount.
            *["sh", "-c", 'cd "$0" && exec "$@"', str(folder)],
        ]
        self.inner = Path(f"/proc/{self.process.pid}/root{folder}")  # as seen from out here

    def close(self):
        self.process.communicate()


class SmallDisk(Mounts):
    """A copy of a folder on a disk of its own, which can be filled up."""

    SETUP = """
        mkdir "$1.disk"
        mount -t tmpfs none "$1.disk"
        cp -a "$1/." "$1.disk"
        mount --bind "$1.disk" "$1"
    """

    def __init__(self, folder, room=32 * 1024**2):
        super().__init__(folder, self.SETUP)
        self.room = room
        self.fill(room)

    def used(self):
        """Return how many bytes are used."""
        disk = os.statvfs(self.inner)
        return (disk.f_blocks - disk.f_bfree) * disk.f_frsize

    def fill(self, left):
        """Leave room for so many bytes more."""
        resize = ["mount", "-o", f"remount,size={self.used() + left}", "."]
        subprocess.run([*self.enter, *resize], check=True)

    def free(self):
        """Let there be room again."""
        self.fill(self.room)
