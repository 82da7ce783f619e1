"""A Postgres that is not the checkout's own, as a team has one."""

import signal
import subprocess

from airflow_sandbox import postgres
from airflow_sandbox.servers import HOST, free_port


class TeamPostgres:
    """A context: a Postgres with its data in folder, which exists. url: its address.

    enter: words that go before its command, to run it on another host, which has the address.
    """

    def __init__(self, folder, address=HOST, enter=()):
        password, data, self.log = folder / "password", folder / "postgres", folder / "log"
        password.write_text("topsecret\n")
        initdb = postgres.unprivileged(postgres.cluster_command(data, "team", password))
        subprocess.run(initdb, check=True, capture_output=True)
        with (data / "pg_hba.conf").open("a") as file:
            file.write("host all all samenet scram-sha-256\n")
        port = free_port()
        self.url = f"postgresql://team:topsecret@{address}:{port}/postgres"
        server = postgres.server_command(data, listen_addresses=address, port=port)
        self.command = [*enter, *server]

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exception):
        self.stop()

    def start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)

    def stop(self, number=signal.SIGINT):
        self.process.send_signal(number)
        self.process.wait(30)
