"""A backfill on several machines, some of which are lost on the way: every day's results are right.

The machines are network namespaces with addresses of their own. Each has its own checkout, and all
of them have one folder in common.
"""

import shlex
import signal
import subprocess
import time

import pytest
from support.backfills import wait
from support.guarantees import guarantee
from support.hosts import Hosts
from support.lines import GOLDEN, all_succeeded, progress
from support.team import TeamPostgres

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("hosts"), pytest.mark.timeout(1500)]

DAYS = 14
# The test has less patience than settings-celery.cfg, above all with a message that was on its way
# to a worker as that was cut off: Airflow looks for it after ten minutes.
SETTINGS = [
    "scheduler.task_instance_heartbeat_timeout=60",
    "scheduler.task_queued_timeout=60",
    "scheduler.task_queued_timeout_check_interval=5",
    "celery_broker_transport_options.visibility_timeout=30",
]


class Network(Hosts):
    """A context of hosts: data, main, which runs the backfill, and workers."""

    def __init__(self, new_checkout, shared, *workers):
        super().__init__("main", "data", *workers)
        shared.mkdir()
        self.shared = shared
        self.checkouts = {name: new_checkout("celery") for name in ("main", *workers)}
        self.running = {}
        # What takes time is done before, so that the faults fall in the midst of the tasks.
        for checkout in self.checkouts.values():
            checkout.succeed("config")
            set_config = ["bin/sandbox", "libexec/set-config", checkout.home / "airflow.cfg"]
            assert checkout.run(*set_config, *SETTINGS).returncode == 0

    def log(self, name):
        return self.shared.with_name(f"{name}.log")

    def make(self, name, *words):
        """Start make on a host."""
        checkout = self.checkouts[name]
        with self.log(name).open("wb") as output:
            self.running[name] = subprocess.Popen(
                [*self.enter(name), "env", "--default-signal=INT", *words],
                cwd=checkout.path,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def start_backfill(self, *more):
        """Start a backfill of the days on the host main; return when others may join it."""
        listen = f"LISTEN={self.address['main']}"
        variables = ["EXECUTOR=celery", "WORKERS=0", listen, f"SHARED={self.shared}"]
        variables += ["START=2024-01-01", f"END=2024-01-{DAYS}"]
        self.make("main", "make", "backfill", *variables, *more)
        self.wait_for(lambda text: "another machine joins with" in text, "its servers")

    def join(self, name):
        """Start a worker on a host."""
        command = (self.checkouts["main"].home / "join-command").read_text()
        self.make(name, *shlex.split(command))

    def wait_for(self, is_there, what):
        """Wait until is_there(what the backfill has printed)."""

        def look():
            text = self.log("main").read_text()
            assert self.running["main"].poll() is None, text
            return is_there(text)

        wait(look, what, 400)

    def wait_for_tasks(self, number):
        """Wait until so many task instances have succeeded."""

        def are_there(text):
            return any(line["succeeded"] >= number for line in progress(text))

        self.wait_for(are_there, f"{number} tasks")

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


@guarantee(
    "More machines",
    "a machine with a worker is cut off from the others, another one is switched off",
    "the backfill goes on; what they had begun runs again, and every day's results are right",
)
@guarantee(
    "More machines",
    "the team's broker is restarted, its Postgres is killed and started again",
    "the backfill waits for them and goes on; every day's results are right",
)
def test_workers_the_broker_and_postgres_are_lost_and_no_day_is(new_checkout, tmp_path):
    with Network(new_checkout, tmp_path / "shared", "one", "two", "three") as network:
        folder, enter = tmp_path / "data", network.enter("data")
        address = network.address["data"]
        folder.mkdir()
        broker = [*enter, "redis-server", "--bind", address, "--requirepass", "secret"]
        broker += ["--appendonly", "yes", "--dir", str(folder), "--logfile", str(folder / "redis")]
        redis = subprocess.Popen(broker)
        with TeamPostgres(folder, address, enter) as database:
            broker_url = f"BROKER_URL=redis://:secret@{address}:6379/0"
            network.start_backfill(f"DB_URL={database.url}", broker_url)
            for name in "one", "two", "three":
                network.join(name)
            network.wait_for_tasks(4)
            network.cut_off("one")
            network.wait_for_tasks(12)
            redis.terminate()
            redis.wait(30)
            time.sleep(2)
            redis = subprocess.Popen(broker)
            network.wait_for_tasks(20)
            network.kill("two")
            network.wait_for_tasks(28)
            database.stop(signal.SIGKILL)
            time.sleep(2)
            database.start()
            network.assert_that_every_day_is_right()
            network.running["three"].send_signal(signal.SIGTERM)
            network.running["three"].wait(60)
            assert "the worker has ended" in network.log("three").read_text()
            redis.terminate()
        for name in "main", "three":
            assert network.checkouts[name].processes() == []
        # It had done some of it before, and nothing since.
        assert "takes tasks" in network.log("one").read_text()
        assert "topsecret" not in network.log("main").read_text()
