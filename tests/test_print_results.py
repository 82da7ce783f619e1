"""pipeline/print_results.py, as a user runs it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.guarantees import guarantee

PROJECT = Path(__file__).resolve().parent.parent
GOLDEN = PROJECT / "tests" / "golden" / "results.csv"


def show(*arguments, encoding="utf-8"):
    return subprocess.run(
        [sys.executable, PROJECT / "pipeline" / "print_results.py", *arguments],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        encoding=encoding,
        timeout=30,
    )


def assert_one_line_error(run, *fragments):
    assert run.returncode == 1, run
    assert len(run.stderr.splitlines()) == 1, run.stderr
    for fragment in ("print_results.py: ", "make backfill", *fragments):
        assert fragment in run.stderr


@pytest.fixture
def results(tmp_path):
    """A results folder with the golden table."""
    shutil.copy(GOLDEN, tmp_path)
    return tmp_path


def edit(results, old, new):
    path = results / "results.csv"
    text = path.read_text()
    assert text.count(old) >= 1
    path.write_text(text.replace(old, new, 1))


def test_every_model_has_a_row_with_its_term_and_errors_and_the_best_is_marked(results):
    run = show(results)
    assert (run.returncode, run.stderr) == (0, "")
    rows = [line for line in run.stdout.splitlines() if re.match(r" +\d+ ", line)]
    assert [int(row.split()[0]) for row in rows] == list(range(1, 12))
    assert "C(cylinders, Sum)" in rows[4]
    assert "displacement" in rows[1] and "weight" not in rows[1]
    for row, line in zip(rows, GOLDEN.read_text().splitlines()[1:], strict=True):
        for error in line.split(",")[-2:]:
            assert error in row
        assert ("◀ best" in row) == (row.split()[0] == "7")
    assert max(map(len, run.stdout.split("Picture:")[0].splitlines())) <= 80
    assert run.stdout.endswith(f"Picture: {results}/bias_variance.png\n")
    run = show(results, encoding="ascii")
    assert run.returncode == 0
    assert "< best" in run.stdout and "####" in run.stdout


def test_of_a_range_the_last_day_with_results_is_shown(results, tmp_path):
    for day in "2024-04-26", "2024-04-28":
        (tmp_path / day).mkdir()
        shutil.copy(results / "results.csv", tmp_path / day)
    shown = show("--first", "2024-04-27", tmp_path / "2024-05-02")
    assert shown.stdout.startswith("The last day that had a run is 2024-04-28.\n")
    shown = show("--first", "2024-04-26", tmp_path / "2024-04-27")
    assert shown.stdout.startswith("The last day that had a run is 2024-04-26.\n")
    assert_one_line_error(show("--first", "2024-04-29", tmp_path / "2024-05-02"), "2024-05-02")
    assert "The last day" not in show("--first", "2024-04-26", tmp_path / "2024-04-28").stdout


def test_the_lesson_is_computed_from_the_numbers(results):
    assert "lowest at model 7 (7.48) and rises to 11.91 at model 11" in show(results).stdout
    edit(results, "7.96763", "3.21000")
    edit(results, "11.91378", "12.50000")
    text = show(results).stdout
    assert "goes from 18.09 to 0.47" in text
    assert "lowest at model 6 (3.21) and rises to 12.50 at model 11" in text
    assert "Past model 6 " in text
    edit(results, "12.50000", "1.00000")
    text = show(results).stdout
    assert "lowest at model 11 (1.00), the last one" in text
    assert "no overfitting" in text and "memorize" not in text


@guarantee(
    "Damage",
    "results.csv cut, garbled, or a folder",
    "one line, and the command that makes it again",
)
def test_a_missing_or_damaged_table_says_where_and_what_to_type_next(results):
    table = results / "results.csv"
    whole = table.read_text()
    for old, new, why in [
        ("model,formula", "number,formula", "has not model,formula"),
        ("7.48096", "?", "'?'"),
        ("7.48096", "nan", "model 7"),
        ("7.48096", "1e999", "model 7"),
        ("7.48096", "-7.48096", "model 7"),
        ("+ displacement", "+ \x1b[2J", "model 2"),
        ("7.48096", "7.48096,1", "too many values"),
        ("\n7,", "\n8,", "eleven models"),
        (whole[400:], "", "not enough values"),
        (whole, "", "not enough values"),
        (whole, "\udcff\udcfe", "decode"),
    ]:
        table.write_bytes(whole.replace(old, new, 1).encode(errors="surrogateescape"))
        assert_one_line_error(show(results), "results.csv is damaged: ", why)
    table.unlink()
    assert_one_line_error(show(results), str(table), "No such file")
    missing = show(results / "2024-02-29").stderr
    assert re.search("; next: make backfill DATE=2024-02-29( .*)?\n$", missing)
    table.mkdir()
    assert_one_line_error(show(results), "Is a directory")
    assert show().returncode == 2
