"""What somebody at a terminal sees while they wait; elsewhere there is the plain line."""

import re

import pytest
from support.checkouts import break_task, on_terminal
from support.lines import all_succeeded, progress

pytestmark = pytest.mark.xdist_group(__name__)  # they share checkouts

BAR = re.compile(r"(\d+) of (\d+) tasks, (\d) of (\d) DAG runs([^|]*)\|[^|]*\|(.*)")


@pytest.fixture(scope="module")
def checkout(new_checkout):
    """A checkout, ready to run, whose last task fails on one day."""
    checkout = new_checkout()
    break_task(checkout, "run_regression", "true")
    break_task(checkout, "print_results", "test {{ ds }} != 2024-03-02 || exit 7; echo")
    checkout.succeed("list-dags")
    return checkout


def lines(sent):
    """Return the lines that are left to be read, each as it was at last."""
    left = [line.rstrip("\r").rpartition("\r")[2] for line in sent.split("\n")]
    return [re.sub(r"\x1b\[[0-9;]*[mK]", "", line).rstrip() for line in left]


def test_a_range_has_a_bar_with_rate_and_time_left_and_the_line_at_its_end(checkout):
    code, sent = on_terminal(
        ["make", "backfill", "START=2024-03-01", "END=2024-03-02"], checkout.path
    )
    assert code == 2, sent
    bars = [BAR.search(piece) for piece in sent.split("\r") if BAR.search(piece)]
    assert bars[0].groups()[:4] == ("0", "6", "0", "2")
    assert bars[-1].groups()[:4] == ("6", "6", "2", "2") and ", failed: 1" in bars[-1][5]
    done = [int(bar[1]) for bar in bars]
    assert done == sorted(done)
    assert len(set(done)) > 3
    for bar in bars:
        timed = re.fullmatch(r" +[\d.]+ tasks/s, \d\d:\d\d left", bar[6])
        assert bool(timed) == (bar[3] > "0"), bar[0]
    left = lines(sent)
    # The line is wrapped between two counts, with the failure in red.
    assert progress("\n".join(left).replace("|\n", "| ")) == [
        {**all_succeeded(2), "succeeded": 5, "failed": 1}
    ]
    assert "\033[31mfailed: 1\033[0m" in sent
    assert "backfill: \033[31mtask print_results of 2024-03-02 failed\033[0m;" in sent
    assert re.search(r"waiting for \S.* \(\d+ s\)", sent)
    assert not [line for line in left if "waiting for" in line or BAR.search(line)]
    assert max(len(bar.string) for bar in bars) < 80


def test_a_single_day_has_the_line_at_each_change_and_no_bar(checkout):
    code, sent = on_terminal(["make", "backfill", "DATE=2024-03-03"], checkout.path)
    assert code == 0, sent
    assert len(progress("\n".join(lines(sent)).replace("|\n", "| "))) > 3
    assert "\033[31m" not in sent
    assert not BAR.search(sent)


def test_the_seconds_of_a_silent_command_are_shown_and_overwritten(new_checkout):
    checkout = new_checkout()
    (checkout.path / "bin/sandbox").write_text("#!/bin/sh\nsleep 4; echo thought\n")
    words = ["libexec/step", "Think", "bin/sandbox", "airflow", "version"]
    code, sent = on_terminal(words, checkout.path)
    assert code == 0
    assert re.search(r"   [23] s\r", sent) and "\033[1m== Think" in sent
    assert re.search(r"\nthought\n   done in \d+ s\n$", "\n".join(lines(sent)))
    # A CI job that gives its commands a terminal reads none of that.
    _, sent = on_terminal(words, checkout.path, CI="true")
    assert re.fullmatch(r"\r\n== Think\r\n.*\r\nthought\r\n   done in \d+ s\r\n", sent)
