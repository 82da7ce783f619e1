"""Targets of `make help` that take minutes, or a browser; .ci/run runs these."""

import re
import tempfile
from pathlib import Path

from support.checkouts import Checkout
from support.pages import find_browser


def test_make_bench_measures_everything_and_leaves_no_process(new_checkout):
    checkout = new_checkout()
    span = ["START=2024-01-01", "END=2024-01-02"]  # instead of the 22 days that it takes by itself
    printed = checkout.succeed("bench", "ROUNDS=1", *span, timeout=3600)
    table = printed[printed.index("\n1 round ") :]
    rows = re.findall(r"^(\S.*?) : .*? +([\d.]+) s +([\d.]+) s +([\d.]+)", table, re.MULTILINE)
    titles, *figures = zip(*rows, strict=True)
    backfills = ["a backfill of 2 days"] * 3
    warm = ["make all, warm", "from save to verdict in make watch"]
    assert titles == ("regress.py", "a second make env", *warm, *backfills), printed
    assert all(float(figure) > 0 for column in figures for figure in column), printed
    assert re.search(
        r"2 days : .* tasks a second, [\d.]+ : [\d.]+ s of CPU a task$", table, re.MULTILINE
    )
    started = {*titles, "on Postgres", "with Celery"}
    assert all(f"round 1 of 1: {title} ...\n" in printed for title in started)
    days = {f"2024-01-{day:02}" for day in range(1, 3)}
    assert {path.name for path in (checkout.path / "results/3").iterdir()} == days
    assert checkout.processes() == []


def test_make_screenshots_renews_the_pictures():
    find_browser()
    # Its own tests, in checkouts of their own, are below this one, and the path of a browser's
    # socket has room for 107 bytes.
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        checkout = Checkout(Path(folder).resolve() / "kit", "3")
        pictures = [checkout.path / f"docs/ui-{name}.png" for name in ("graph", "log")]
        for picture in pictures:
            picture.unlink()
        printed = checkout.succeed("screenshots")
        for picture in pictures:
            assert picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n"), printed
        assert checkout.processes() == []
