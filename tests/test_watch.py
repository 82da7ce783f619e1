"""make watch: what a save and each key does, on a terminal, and that nothing is left of it."""

import os
import pty
import re
import select
import signal
import time

import pytest
from airflow_sandbox.servers import free_port
from support.backfills import wait
from support.checkouts import read_until
from support.exercises import copy_of, predict
from support.guarantees import guarantee

pytestmark = [pytest.mark.xdist_group(__name__), pytest.mark.slow]  # they share a checkout


class Terminal:
    """A make on a terminal, with somebody who reads and presses keys."""

    def __init__(self, checkout, *arguments):
        self.ours, its = pty.openpty()
        words = ["make", *arguments, f"PORT={free_port()}"]
        self.make = checkout.start(*words, stdin=its, stdout=its, stderr=its)
        os.close(its)
        self.sent = ""

    def see(self, sign, seconds=120):
        """Read until a pattern has come; return its match, and forget what came before."""
        deadline = time.monotonic() + seconds
        while not (found := re.search(sign, self.sent)):
            assert time.monotonic() < deadline, self.sent
            if select.select([self.ours], [], [], 1)[0]:
                try:
                    self.sent += os.read(self.ours, 65536).decode("utf-8", "replace")
                except OSError:  # so Linux says that nobody has it open any more
                    raise AssertionError(self.sent) from None
        self.sent = self.sent[found.end() :]
        return found

    def press(self, keys):
        os.write(self.ours, keys.encode())


@pytest.fixture(scope="module")
def checkout(new_checkout):
    return new_checkout()


@pytest.fixture(scope="module")
def watch(checkout):
    """make watch N=3 in a checkout without anything of the learner's."""
    return Terminal(checkout, "watch", "N=3")


def test_it_shows_the_page_and_makes_the_copy(watch, checkout):
    watch.see("# 3. Failed")
    watch.see("p page, .*q quit")
    assert "?" in copy_of(checkout, 3).read_text()


def test_a_save_is_run_and_its_verdict_shown(watch, checkout):
    predict(checkout, 3, succeeded="8")
    watch.see("finished run 3 of 3")
    watch.see("succeeded: you predicted 8, it was 9")
    watch.see("0 of \\d+ passed")


def test_a_new_prediction_is_compared_without_a_run(watch, checkout):
    file = copy_of(checkout, 3)
    file.write_text(file.read_text().replace("succeeded: 8", "succeeded: 9"))
    watch.see("only the prediction has changed")
    watch.see("Passed. ")
    watch.see("1 of \\d+ passed; Enter for the next one")


def test_a_syntax_error_is_shown_at_once_and_a_save_meanwhile_starts_again(watch, checkout):
    file = copy_of(checkout, 3)
    right = file.read_text()
    file.write_text(right + "def f(:\n")
    watch.see(r"my-exercises/03-failed/dag.py:\d+: SyntaxError: .*\n +def f\(:\r\n +\^", 3)
    file.write_text(right + "# a change\n")
    watch.see(r"\$ bin/backfill|\d s ")
    file.write_text(right + "# another one\n")
    watch.see("Passed. ")


def test_the_keys(watch, checkout):
    watch.press("h")
    watch.see("Hint: There are 4 tasks")
    watch.press("l")
    watch.see(r"3  Failed: .* passed")
    watch.press("\n")
    watch.see("# 4. Trigger rule")
    assert copy_of(checkout, 4).exists()
    watch.press("p")
    watch.see("# 4. Trigger rule")
    watch.press("r")
    watch.see("it is the original again; you had not changed it")
    watch.press("s")
    watch.see("Passed. ")


@guarantee(
    "Interruption",
    "q, kill -9 or a closed terminal in `make watch`",
    "all that it started has ended, and the terminal works as before",
)
def test_q_ends_it_and_leaves_nothing(watch, checkout):
    watch.press("q")
    assert watch.make.wait(30) == 0
    assert checkout.processes() == []
    assert "not running" in checkout.succeed("stop", "N=1")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_whatever_ends_it_leaves_nothing(checkout, number):
    log = checkout.path / ".sandbox/3-exercises/airflow/logs/watch-servers.log"
    log.unlink(missing_ok=True)
    watch = Terminal(checkout, "watch", "N=3")
    if number == signal.SIGKILL:  # the first server has just been started
        wait(lambda: log.exists() and "api-server" in log.read_text(), "the servers")
    else:
        watch.see("Passed. |q quit")
    os.killpg(watch.make.pid, number)
    watch.make.wait(30)
    wait(lambda: not checkout.processes(), "the processes to end", 15)


def test_a_dag_is_watched_as_well(checkout):
    file = checkout.path / "dags/first.py"
    text = "from airflow.sdk import dag, task\nimport datetime\n\n"
    text += '@dag(schedule="@daily", start_date=datetime.datetime(2024, 1, 1))\ndef first():\n'
    text += "    @task\n    def say():\n        print('said')\n    say()\n\nfirst()\n"
    file.write_text(text)
    watch = Terminal(checkout, "watch", "DAG=first", "DATE=2024-01-01")
    watch.see(r"finished run 1 of 1 .* succeeded: 1 ")
    watch.see("q quit")
    file.write_text(text.replace("print('said')", "raise ValueError('not said')"))
    watch.see(r"finished run 1 of 1 .* failed: 1 ")
    watch.see("ValueError: not said")
    watch.press("q")
    assert watch.make.wait(30) == 0
    assert checkout.processes() == []


def test_without_a_terminal_it_says_what_to_type(checkout):
    make = checkout.start("make", "watch", "N=3")
    read_until(make, "needs a terminal; without one, type: make exercise N=3")
    make.communicate(timeout=30)
    assert make.returncode == 2
