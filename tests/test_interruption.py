"""What ends a run before its time: signals and kill -9 in every step, two makes at once, damage.

After each of these nothing of the run goes on, and the next make works, with no help.
"""

import http.server
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support.backfills import wait
from support.checkouts import PROJECT, read_until
from support.guarantees import guarantee
from support.lines import GOLDEN, all_succeeded, progress, results_of
from support.wheels import environment

pytestmark = [pytest.mark.xdist_group(__name__), pytest.mark.slow]  # they share checkouts


def start(checkout, *arguments, sign, **options):
    """Start make in a session of its own; return it when it has printed what the pattern finds."""
    make = checkout.start("make", *arguments, **options)
    read_until(make, sign)
    return make


def group(make, number):
    # As a terminal does it: to the whole foreground group.
    os.killpg(make.pid, number)


def make_alone(make, number):
    os.kill(make.pid, number)


def assert_over(checkout, make, seconds=10):
    """All processes end, soon; return what make printed since it was waited for."""
    make.wait(60)
    wait(lambda: not checkout.processes(), "the processes to end", seconds)
    output = make.stdout.read()
    make.stdout.close()
    assert make.returncode != 0
    return output


STEPS = [
    "Let Airflow make its airflow.cfg",
    "Set up the metadata database",
    "Store the DAGs in the metadata database",
    "List the tasks of dag_test",
]


@guarantee(
    "Interruption",
    "Ctrl-C, SIGTERM or SIGHUP in any step before the backfill",
    "the step ends with everything that it started; make says which; the next make starts there",
)
@guarantee(
    "Interruption",
    "kill -9 of make, or of the whole group, in any step",
    "a watchdog ends the rest within seconds, and the next make works",
)
def test_whatever_ends_a_step_the_next_make_all_works(new_checkout):
    """Each step in turn, in two ways; each make begins where the one before it was ended."""
    checkout = new_checkout()
    ways = [
        (group, signal.SIGINT),
        (make_alone, signal.SIGTERM),
        (group, signal.SIGHUP),
        (make_alone, signal.SIGKILL),
        (group, signal.SIGKILL),
    ]
    for number, step in enumerate(STEPS):
        for end, by in (ways[number], ways[-2 + number % 2]):
            make = start(checkout, "all", sign=f"== {step}")
            # Not at once: when it has begun to work.
            wait(
                lambda: any("airflow" in word for _, line in checkout.processes() for word in line),
                f"{step} to begin",
            )
            end(make, by)
            output = assert_over(checkout, make)
            if by != signal.SIGKILL:
                assert f"was interrupted by {by.name}" in output
            assert not list(checkout.home.glob("*.new"))
    outcome = checkout.run("bash", "-c", "make all 2>&1")
    assert outcome.returncode == 0, outcome.stdout
    assert progress(outcome.stdout)[-1] == all_succeeded()
    assert (results_of(checkout) / "results.csv").read_bytes() == GOLDEN.read_bytes()
    assert checkout.processes() == []


class Stalling(http.server.BaseHTTPRequestHandler):
    """A package index that accepts every question and never answers it."""

    asked = threading.Event()
    over = threading.Event()

    def do_GET(self):
        self.asked.set()
        self.over.wait(120)

    def log_message(self, *_):
        pass


@pytest.fixture
def stalling_index():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stalling) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/simple/"
        Stalling.over.set()
        server.shutdown()
        thread.join()


@guarantee(
    "Interruption",
    "the installation interrupted or killed",
    "pip and uv stop, and the next `make env` starts over",
)
@pytest.mark.parametrize(
    ("end", "by"),
    [(group, signal.SIGINT), (make_alone, signal.SIGTERM), (make_alone, signal.SIGKILL)],
)
def test_an_interrupted_installation_stops_and_starts_over(
    new_checkout,
    wheels,
    stalling_index,
    end,
    by,
):
    checkout = new_checkout()
    (checkout.state / "env").unlink()
    (checkout.state / "env.done").unlink()
    lock = checkout.path / "editions/3/requirements.txt"
    lock.write_text((wheels / "lock.txt").read_text() + "psutil==0\n")
    for folder in "home", "tmp", "tools":
        (checkout.path.parent / folder).mkdir()
    good = environment(checkout.path, wheels)
    ours = ("PIP_NO_INDEX", "PIP_FIND_LINKS", "UV_CONFIG_FILE")
    slow = {name: value for name, value in good.items() if name not in ours}
    slow["PIP_INDEX_URL"] = stalling_index
    arguments = ["env", "ENV_MANAGER=venv", f"PYTHON={sys.executable}"]
    Stalling.asked.clear()
    make = start(checkout, *arguments, sign="venv by", env=slow)
    assert Stalling.asked.wait(60)
    end(make, by)
    assert_over(checkout, make)
    assert not (checkout.state / "env.done").exists()
    lock.write_text((wheels / "lock.txt").read_text())
    outcome = subprocess.run(
        ["make", *arguments], cwd=checkout.path, env=good, capture_output=True, text=True
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert (checkout.state / "env.done").read_text().splitlines()[1] == str(checkout.path)


@guarantee(
    "Concurrency",
    "two makes in one checkout",
    "the second is refused in one line that names the first",
)
def test_a_second_make_is_refused_in_one_line_and_the_first_one_goes_on(new_checkout):
    checkout = new_checkout()
    first = start(checkout, "list-tasks", sign="== Let Airflow make")
    for target in "all", "clean":
        second = checkout.make(target)
        assert second.returncode == 2
        assert f"another make (process {first.pid}) is at work" in second.stderr.splitlines()[0]
        assert second.stdout == ""
    output, _ = first.communicate(timeout=300)
    assert first.returncode == 0, output
    # It is over, so the checkout is free again.
    assert checkout.make("config").returncode == 0


@guarantee(
    "Concurrency",
    "two containers, or a container and its host, with one checkout",
    "as two makes; what a killed container has left is free after five seconds",
)
def test_a_make_of_another_container_is_refused_and_one_that_was_killed_is_not(new_checkout):
    checkout = new_checkout()
    apart = ["unshare", "--fork", "--pid", "--mount-proc", "--kill-child"]
    if checkout.run(*apart, "true").returncode:
        pytest.skip("this machine lets nobody have process numbers of their own (unshare)")
    first = start(checkout, "list-tasks", sign="== Let Airflow make")
    second = checkout.run(*apart, "make", "clean")
    assert second.returncode == 2
    assert "another make is at work in this checkout, in another container" in second.stderr
    group(first, signal.SIGKILL)
    assert_over(checkout, first)
    assert checkout.run(*apart, "make", "clean").returncode == 0


@guarantee(
    "Concurrency",
    "twelve makes at the same moment",
    "one is at work, eleven are refused",
)
def test_of_many_makes_at_the_same_moment_one_is_at_work(new_checkout):
    checkout = new_checkout()
    # The claim alone, for as long as the parent lives; they wait for each other at the start.
    read, write = os.pipe()
    claims = [
        subprocess.Popen(
            ["bash", "-c", f"read -r; libexec/lock-checkout || exit; echo ours; read -r <&{read}"],
            cwd=checkout.path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[read],
            text=True,
        )
        for _ in range(12)
    ]
    os.close(read)
    for process in claims:
        process.stdin.write("go\n")
        process.stdin.flush()
    refused = [process for process in claims if process.stdout.readline() == ""]
    assert len(refused) == 11
    os.close(write)
    for process in claims:
        process.communicate(timeout=30)
    assert sorted(os.listdir(checkout.path / ".sandbox")) == ["3", "last-make"]


def test_a_make_that_has_locked_the_checkout_may_start_others(new_checkout):
    # As in make clean verify: the proof begins with a make of its own.
    new_checkout().succeed("clean", "test-env")


@guarantee(
    "Damage",
    "the lock of the checkout damaged",
    "treated as free",
)
def test_a_damaged_lock_is_nobodys(new_checkout):
    checkout = new_checkout()
    lock = checkout.path / ".sandbox/last-make"
    for damage in (
        *(lambda text=text: lock.symlink_to(text) for text in ("garbage", "1 0", "999999999 5")),
        lambda: lock.write_text("a file"),
        lock.mkdir,
    ):
        lock.unlink(missing_ok=True)
        damage()
        checkout.succeed("begin")
        assert re.match("[0-9]+ [^ ]+ [^ ]", os.readlink(lock))
        assert sorted(os.listdir(checkout.path / ".sandbox")) == ["3", "last-make"]


def test_ps_and_proc_agree_on_parents_and_births(tmp_path):
    """Where there is no /proc there is ps; both are tried where there are both."""
    if not os.path.exists("/proc/self/stat") or not os.access("/usr/bin/ps", os.X_OK):
        pytest.skip("needs both /proc and ps")
    original = PROJECT / "libexec/processes.sh"
    by_ps = tmp_path / "processes.sh"
    by_ps.write_text(original.read_text().replace("/proc/self/stat", "/nowhere"))
    ask = '. "$0"; parent_of $$; [ -n "$(start_time_of $$)" ] && start_time_of 999999999'
    for file in original, by_ps:
        answer = subprocess.run(["bash", "-c", ask, file], capture_output=True, text=True)
        assert answer.stdout.split() == [str(os.getpid())], file
    zombie = subprocess.Popen(["true"])
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
    for file in original, by_ps:
        ask = f'. "$0"; start_time_of {zombie.pid}'
        assert subprocess.run(["bash", "-c", ask, file], capture_output=True).stdout == b""
    zombie.wait()


# --- Damage: said, kept aside, repaired.


DAMAGES = {
    "cut": lambda content: content[: len(content) // 2],
    "emptied": lambda _: b"",
    "garbled": lambda content: os.urandom(200) + content[200:],
    "gone": None,
}


@pytest.fixture(scope="module")
def ready(new_checkout):
    """A checkout in which everything up to the lists has been done."""
    checkout = new_checkout()
    outcome = checkout.make("list-tasks")
    assert outcome.returncode == 0, outcome.stderr
    return checkout


@guarantee(
    "Damage",
    "airflow.cfg or the database cut, emptied, garbled or gone",
    "reported, kept in `.sandbox/<edition>/set-aside`, and made again",
)
@pytest.mark.parametrize("name", ["airflow.cfg", "airflow.db"])
def test_a_damaged_file_is_reported_set_aside_and_made_again(ready, name):
    file = ready.home / name
    stamp = ready.state / ("config.done" if name == "airflow.cfg" else "initdb.done")
    whole, stamped = file.read_bytes(), stamp.read_bytes()
    for damage in DAMAGES.values():
        file.write_bytes(whole)
        stamp.write_bytes(stamped)
        assert ready.succeed("begin") == ""
        before = set(ready.state.glob("set-aside/*"))
        damaged = [damage(whole)] if damage else []
        file.write_bytes(damaged[0]) if damage else file.unlink()
        (reported,) = re.findall(r"repaired: (.*)", ready.succeed("begin"))
        assert name in reported and not stamp.exists()  # so the next make makes it again
        new = set(ready.state.glob("set-aside/*")) - before
        assert [(folder / name).read_bytes() for folder in new] == damaged
    assert re.search(r"^dag_test\b", ready.succeed("list-dags"), re.MULTILINE)
    # And it is good again, which is not reported a second time.
    assert "repaired" not in ready.succeed("initdb")


@guarantee(
    "Damage",
    "a stamp lost or garbled",
    "at worst a step runs again; the database is set aside",
)
def test_a_lost_or_damaged_stamp_loses_nothing(ready):
    history = (ready.home / "airflow.db").read_bytes()
    stamps = [ready.state / f"{step}.done" for step in ("config", "initdb", "dags")]
    for damage in Path.unlink, lambda stamp: stamp.write_text("?"):
        for stamp in stamps:
            damage(stamp)
        assert re.search(r"^dag_test\b", ready.succeed("list-dags"), re.MULTILINE)
    assert history in [path.read_bytes() for path in ready.state.glob("set-aside/*/airflow.db")]
    (ready.state / "env.done").write_text("?")
    outcome = ready.run("libexec/repair-state", ".sandbox/3", ".sandbox/3")
    assert "the checkout has moved" in outcome.stdout
    ready.done("env", "config", "initdb", "dags")


@guarantee(
    "Damage",
    "the environment's Python gone, or the checkout moved",
    "reported; the environment is made again",
)
def test_an_environment_whose_python_is_gone_or_that_has_moved_is_made_again(
    new_checkout, tmp_path
):
    checkout = new_checkout()
    moved = checkout.path.rename(tmp_path / "moved")
    repair = ["bash", "-c", "libexec/repair-state .sandbox/3 .sandbox/3; make -n env"]
    outcome = subprocess.run(repair, cwd=moved, capture_output=True, text=True)
    assert "repaired: the checkout has moved" in outcome.stdout
    assert "Make the environment" in outcome.stdout
    (moved / ".sandbox/3/env").unlink()
    (moved / ".sandbox/3/env/bin").mkdir(parents=True)
    (moved / ".sandbox/3/env/bin/python").symlink_to("/gone/python3")
    (moved / ".sandbox/3/env.done").write_text(f"\n{moved}\n")
    outcome = subprocess.run(repair, cwd=moved, capture_output=True, text=True)
    assert "the environment's Python does not run any more" in outcome.stdout
    assert "Make the environment" in outcome.stdout
