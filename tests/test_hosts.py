"""A backfill on several machines, some of which are lost on the way: every day's results are right.

The machines are network namespaces with addresses of their own. Each has its own checkout, and all
of them have one folder in common.
"""

import re
import shlex
import signal
import subprocess
import time

import pytest
from airflow_sandbox import postgres
from support.backfills import wait
from support.guarantees import guarantee
from support.hosts import Hosts
from support.lines import GOLDEN, all_succeeded, progress

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("hosts"), pytest.mark.timeout(1500)]

DAYS = 31
MONTH = ["START=2024-01-01", f"END=2024-01-{DAYS}"]


class Network:
    """A context of hosts: main, which runs the backfill, and workers, with a checkout each."""

    def __init__(self, new_checkout, shared, *workers):
        shared.mkdir()
        self.hosts = Hosts("main", "data", *workers)
        self.shared = shared
        self.checkouts = {name: new_checkout("celery") for name in ("main", *workers)}
        self.running = {}
        # What takes time is done before, so that the faults fall in the midst of the tasks.
        for checkout in self.checkouts.values():
            checkout.succeed("config")
        # A message can be on its way to a worker as that is cut off, and Airflow looks for it after
        # ten minutes. The test has less patience.
        main = self.checkouts["main"]
        settings = ["scheduler.task_queued_timeout=90"]
        settings += ["scheduler.task_queued_timeout_check_interval=10"]
        command = ["bin/sandbox", "libexec/set-config", main.home / "airflow.cfg", *settings]
        assert main.run(*command).returncode == 0

    def __enter__(self):
        self.hosts.__enter__()
        return self

    def __exit__(self, *exception):
        self.hosts.__exit__(*exception)

    def log(self, name):
        return self.shared.with_name(f"{name}.log")

    def make(self, name, *words):
        """Start make on a host."""
        checkout = self.checkouts[name]
        with self.log(name).open("wb") as output:
            self.running[name] = subprocess.Popen(
                [*self.hosts.enter(name), "env", "--default-signal=INT", *words],
                cwd=checkout.path,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def start_backfill(self, *more):
        """Start a backfill of the month on the host main; return when others may join it."""
        listen = f"LISTEN={self.hosts.address['main']}"
        variables = ["EXECUTOR=celery", "WORKERS=0", listen, f"SHARED={self.shared}", *MONTH]
        self.make("main", "make", "backfill", *variables, *more)
        self.wait_for(r"another machine joins with", 180)

    def join(self, name):
        """Start a worker on a host."""
        command = (self.checkouts["main"].home / "join-command").read_text()
        self.make(name, *shlex.split(command))

    def wait_for(self, sign, seconds):
        """Wait until the backfill has printed something."""

        def is_there():
            text = self.log("main").read_text()
            assert self.running["main"].poll() is None, text
            return re.search(sign, text)

        wait(is_there, sign, seconds)

    def wait_for_tasks(self, number):
        """Wait until so many task instances have succeeded."""

        def are_there():
            text = self.log("main").read_text()
            assert self.running["main"].poll() is None, text
            lines = progress(text)
            return lines and lines[-1]["succeeded"] >= number

        wait(are_there, f"{number} tasks", 400)

    def assert_that_every_day_is_right(self):
        """Wait for the end of the backfill; check its last line, and the results of each day."""
        status = self.running["main"].wait(900)
        text = self.log("main").read_text()
        assert status == 0, text
        assert progress(text)[-1] == all_succeeded(DAYS), text
        results = sorted(self.shared.glob("results/3/*/results.csv"))
        assert len(results) == DAYS
        assert {path.read_bytes() for path in results} == {GOLDEN.read_bytes()}
        assert not list(self.shared.rglob(".*")), "a file was left half-written"

    def end(self, name):
        """Let a worker end."""
        self.running[name].send_signal(signal.SIGTERM)
        assert self.running[name].wait(60) is not None
        assert "the worker has ended" in self.log(name).read_text()
        assert self.checkouts[name].processes() == []


@guarantee(
    "More machines",
    "a machine with a worker is cut off from the others, another one is switched off",
    "the backfill goes on; what they had begun runs again, and every day's results are right",
)
def test_a_worker_is_cut_off_another_is_killed_and_no_day_is_lost(new_checkout, tmp_path):
    with Network(new_checkout, tmp_path / "shared", "one", "two", "three") as network:
        network.start_backfill()
        for name in "one", "two", "three":
            network.join(name)
        network.wait_for_tasks(10)
        network.hosts.cut_off("one")
        network.wait_for_tasks(25)
        network.hosts.kill("two")
        network.assert_that_every_day_is_right()
        network.end("three")
        assert network.checkouts["main"].processes() == []
        # It had done some of it before, and nothing since.
        assert "takes tasks" in network.log("one").read_text()


class DataHost:
    """A context: a Postgres and a broker on the host "data", as a team has them."""

    def __init__(self, network, folder):
        self.network, self.folder = network, folder
        self.address = network.hosts.address["data"]
        folder.mkdir()
        self.postgres_url = f"postgresql://team:secret@{self.address}:5432/postgres"
        self.broker_url = f"redis://:secret@{self.address}:6379/0"

    def __enter__(self):
        password = self.folder / "password"
        password.write_text("secret\n")
        self.data = self.folder / "postgres"
        initdb = postgres.unprivileged(postgres.cluster_command(self.data, "team", password))
        subprocess.run(initdb, check=True, capture_output=True)
        with (self.data / "pg_hba.conf").open("a") as file:
            file.write("host all all 10.77.0.0/24 scram-sha-256\n")
        self.start_postgres()
        self.start_broker()
        return self

    def __exit__(self, *exception):
        for process in self.postgres, self.broker:
            process.send_signal(signal.SIGINT)
            process.wait(30)

    def start(self, command):
        with (self.folder / "log").open("ab") as log:
            command = [*self.network.hosts.enter("data"), *command]
            return subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log)

    def start_postgres(self):
        self.postgres = self.start(postgres.server_command(self.data, listen_addresses="*"))

    def start_broker(self):
        command = ["redis-server", "--bind", self.address, "--requirepass", "secret"]
        self.broker = self.start([*command, "--appendonly", "yes"])


@guarantee(
    "More machines",
    "the team's broker is restarted, its Postgres is killed and started again",
    "the backfill waits for them and goes on; every day's results are right",
)
def test_the_broker_and_postgres_are_restarted_and_no_day_is_lost(new_checkout, tmp_path):
    with Network(new_checkout, tmp_path / "shared", "one", "two") as network:
        with DataHost(network, tmp_path / "data") as data:
            urls = f"DB_URL={data.postgres_url}", f"BROKER_URL={data.broker_url}"
            network.start_backfill(*urls)
            for name in "one", "two":
                network.join(name)
            network.wait_for_tasks(10)
            data.broker.send_signal(signal.SIGTERM)
            data.broker.wait(30)
            time.sleep(2)
            data.start_broker()
            network.wait_for_tasks(35)
            data.postgres.kill()
            data.postgres.wait(30)
            time.sleep(2)
            data.start_postgres()
            network.assert_that_every_day_is_right()
            for name in "one", "two":
                network.end(name)
        assert network.checkouts["main"].processes() == []
        secret = "team:secret"
        assert secret not in network.log("main").read_text()
