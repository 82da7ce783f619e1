"""What CeleryExecutor needs beside the scheduler: a broker, and workers, here or on other machines.

The broker is a Redis or a Valkey: the one that BROKER_URL names, or a server of our own, which
holds nothing for longer than it runs. A worker takes tasks from the broker, and reports to the
execution API. It needs no metadata database. (Python 3.7, as libexec/ui imports it.)
"""

import os
import re
import secrets
import shlex
import shutil
import subprocess
import sys

from airflow_sandbox.errors import UserError
from airflow_sandbox.paths import shown, write_whole
from airflow_sandbox.servers import HOST, free_port, is_free

PASSWORD_BYTES = 24
SLOTS = 4  # tasks that a worker runs at a time
API_URL = "AIRFLOW__CORE__EXECUTION_API_SERVER_URL"
BROKERS = ["valkey-server", "redis-server"]  # they speak the same protocol


class CeleryWorkers:
    """The broker and the workers of one command.

    home: AIRFLOW_HOME. number: how many workers to start here. listen: None, or the pair of the
    address of this machine and the port at which other machines reach the API; the broker's port is
    the next one.
    """

    def __init__(self, home, number, listen=None):
        self.home, self.number, self.listen = home, number, listen
        self.join_command = home / "join-command"
        self.broker_url = os.environ.get("BROKER_URL")
        if not number and not listen:
            raise UserError("WORKERS=0 needs LISTEN=, so that other machines run the tasks")
        self.own_broker = None if self.broker_url else broker_program()
        if self.own_broker:
            port = listen[1] + 1 if listen else free_port()
            if listen and not is_free(port):
                raise UserError(f"port {port}, the broker's, is taken; choose another PORT=")
            self.configuration = home / "broker.conf"
            self.broker_url = self.configure(listen[0] if listen else HOST, port)

    def environment(self):
        """Return the variables that tell the scheduler and the workers where the broker is."""
        return broker_variables(self.broker_url)

    def configure(self, host, port):
        """Write the configuration of a broker of our own; return its URL."""
        file = self.home / "broker.password"  # the same each time, for workers that come back
        if not file.exists():
            write_whole(file, secrets.token_urlsafe(PASSWORD_BYTES) + "\n")
        password = file.read_text().strip()
        addresses = HOST if host == HOST else f"{HOST} {host}"
        settings = f"bind {addresses}\nport {port}\nrequirepass {password}\n"
        in_memory = 'save ""\nappendonly no\n'
        write_whole(self.configuration, settings + in_memory)
        return f"redis://:{password}@{host}:{port}/0"

    def names(self):
        """Return the names of the workers of this machine."""
        return [f"worker-{number}" for number in range(1, self.number + 1)]

    def start(self, servers, **environment):
        """Start the broker and the workers among servers, with more variables for the workers."""
        if self.own_broker:
            servers.start("broker", [self.own_broker, str(self.configuration)])
        for name in self.names():
            servers.start(name, worker_command(name), **{**self.environment(), **environment})

    def where(self):
        """Say where the workers are, for a message about tasks that none of them takes."""
        said = ["What was on its way to a lost worker goes to another one within ten minutes."]
        if self.number:
            said.append(f"This machine's log to {shown(self.home / 'logs')}/worker-*.log.")
        if self.listen:
            said.append(f"Other machines join with the command in {shown(self.join_command)}.")
        return " ".join(said)

    def tell_how_to_join(self, api_url):
        """Print, or where others may read it, write to a file, what another machine has to type."""
        # Before the command: what stands after it, others see in a list of processes.
        command = f"SANDBOX_BROKER_URL={shlex.quote(self.broker_url)} make worker API_URL={api_url}"
        shared = os.environ.get("SHARED")
        command += f" SHARED={shlex.quote(shared)}" if shared else ""
        write_whole(self.join_command, command + "\n")
        if sys.stdout.isatty():
            print(f"   another machine joins with: {command}")
        else:
            print(f"   another machine joins with the command in {shown(self.join_command)}")


def broker_program():
    """Return the path of the program of a broker; raises UserError."""
    for name in BROKERS:
        found = shutil.which(name)
        if found:
            return found
    raise UserError(
        f"there is no {' and no '.join(BROKERS)} on this machine;"
        " make doctor EXECUTOR=celery says what installs one"
    )


def broker_version():
    """Return the name and the version of the broker, for the report."""
    if os.environ.get("BROKER_URL"):
        return "that of BROKER_URL"
    said = subprocess.check_output([broker_program(), "--version"], text=True)
    return re.sub(r"^(\S+) server v=(\S+).*", r"\1 \2", said.strip())


def broker_variables(url):
    """Return the variables that tell Airflow where the broker is.

    The results of Celery's tasks, which say whether a worker could start a task instance, go to the
    broker as well: by default they go to the metadata database, which a worker does not know.
    """
    return {"AIRFLOW__CELERY__BROKER_URL": url, "AIRFLOW__CELERY__RESULT_BACKEND": url}


def worker_command(name, slots=SLOTS):
    """Return the command that runs a worker."""
    return [
        *["airflow", "celery", "worker", "--celery-hostname", f"{name}@%h"],
        # A server for its logs would listen to the whole network.
        *["--concurrency", str(slots), "--skip-serve-logs", "--without-mingle", "--without-gossip"],
    ]
