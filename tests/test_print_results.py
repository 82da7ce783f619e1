"""pipeline/print_results.py, as a user runs it."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.guarantees import guarantee

PROJECT = Path(__file__).resolve().parent.parent
GOLDEN = PROJECT / "tests" / "golden" / "results.csv"


def show(folder, cwd=None, encoding="utf-8"):
    return subprocess.run(
        [sys.executable, PROJECT / "pipeline" / "print_results.py", folder],
        cwd=cwd,
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
    """A results folder: the golden table, and something with the picture's name."""
    shutil.copy(GOLDEN, tmp_path / "results.csv")
    (tmp_path / "bias_variance.png").write_bytes(b"picture")
    return tmp_path


def edit(results, old, new):
    path = results / "results.csv"
    text = path.read_text()
    assert text.count(old) >= 1
    path.write_text(text.replace(old, new, 1))


def test_every_model_has_a_row_with_its_term_and_errors(results):
    run = show(results)
    assert (run.returncode, run.stderr) == (0, "")
    rows = [line for line in run.stdout.splitlines() if re.match(r" +\d+ ", line)]
    assert [int(row.split()[0]) for row in rows] == list(range(1, 12))
    assert "C(cylinders, Sum)" in rows[4]
    assert "displacement" in rows[1] and "weight" not in rows[1]
    for row, line in zip(rows, GOLDEN.read_text().splitlines()[1:], strict=True):
        for error in line.split(",")[-2:]:
            assert error in row


def test_only_the_lowest_test_error_is_marked(results):
    marked = [line for line in show(results).stdout.splitlines() if "◀ best" in line]
    assert [line.split()[0] for line in marked] == ["7"]


def test_the_table_fits_80_columns(results):
    assert max(map(len, show(results).stdout.split("Picture:")[0].splitlines())) <= 80


def test_an_ascii_terminal_gets_plain_ascii(results):
    run = show(results, encoding="ascii")
    assert run.returncode == 0
    assert "< best" in run.stdout and "####" in run.stdout


def test_the_lesson_is_computed_from_the_numbers(results):
    assert "lowest at model 7 (7.48) and rises to 11.91 at model 11" in show(results).stdout
    edit(results, "7.96763", "3.21000")
    edit(results, "11.91378", "12.50000")
    text = show(results).stdout
    assert "goes from 18.09 to 0.47" in text
    assert "lowest at model 6 (3.21) and rises to 12.50 at model 11" in text
    assert "Past model 6 " in text


def test_nothing_is_called_overfitting_when_the_last_model_is_the_best(results):
    edit(results, "11.91378", "1.00000")
    text = show(results).stdout
    assert "lowest at model 11 (1.00), the last one" in text
    assert "no overfitting" in text and "by heart" not in text


def test_the_picture_is_named_relative_to_the_folder_one_stands_in(results):
    inside = show(".", cwd=results)
    assert inside.stdout.endswith("Picture: bias_variance.png\n")
    outside = show(results, cwd=PROJECT / "tests")
    assert outside.stdout.endswith("Picture: {}\n".format(results / "bias_variance.png"))


def test_a_missing_table_says_what_to_type_next(tmp_path):
    assert_one_line_error(show(tmp_path), str(tmp_path / "results.csv"), "No such file")


def test_a_missing_picture_says_what_to_type_next(results):
    (results / "bias_variance.png").unlink()
    assert_one_line_error(show(results), "bias_variance.png is missing")


@guarantee(
    "Damage",
    "results.csv cut, garbled, endless, a pipe or a folder",
    "one line, and the command that makes it again",
)
@pytest.mark.parametrize(
    "old, new, why",
    [
        ("model,formula", "number,formula", "first line"),
        ("7.48096", "?", "model 7"),
        ("7.48096", "nan", "model 7"),
        ("7.48096", "1e999", "model 7"),
        ("7.48096", "-7.48096", "model 7"),
        ("7.48096", "7.48\x00096", ""),  # what Python says of it depends on its version
        ("+ displacement", "+ \x1b[2J", "model 2"),
        ("7.48096", "7.48096,1", "model 7"),
        ("\n7,", "\n8,", "model 7"),
        ("2,mpg ~ weight + displacement", "2,mpg ~ displacement", "model 2"),
        ("\n1,", '\n1,"', "rows instead of 11"),
    ],
)
def test_a_damaged_table_says_where_and_what_to_type_next(results, old, new, why):
    edit(results, old, new)
    assert_one_line_error(show(results), "is damaged", why)


def test_the_next_command_names_the_edition_and_the_day(tmp_path):
    for folder, command in [
        ("results/1.10/2024-02-29", "make backfill EDITION=1.10 DATE=2024-02-29"),
        ("elsewhere", "make backfill"),
    ]:
        assert show(tmp_path / folder).stderr.endswith(f"; next: {command}\n")


def test_a_cut_or_binary_or_empty_table_is_damaged(results):
    table = results / "results.csv"
    whole = table.read_bytes()
    for content, why in [
        (whole[:400], "instead of 11"),
        (b"\xff\xfe\x00", "decode"),
        (b"", "first line"),
    ]:
        table.write_bytes(content)
        assert_one_line_error(show(results), "is damaged", why)


def test_a_table_without_an_end_is_not_read_to_its_end(results):
    with (results / "results.csv").open("ab") as file:
        file.truncate(10**12)  # a hole: takes no disk
    assert_one_line_error(show(results), "is damaged", "more than 100000 bytes")


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_pipe_or_a_folder_instead_of_the_table_is_damaged(results, make):
    (results / "results.csv").unlink()
    make(results / "results.csv")
    assert_one_line_error(show(results), "is damaged: it is a folder, a pipe or a device")


def test_the_largest_error_there_is_has_a_bar(results):
    edit(results, "11.91378", "1e308")
    run = show(results)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.splitlines()[11].endswith("█" * 16)


def test_no_folder_is_wrong_usage():
    command = [sys.executable, PROJECT / "pipeline" / "print_results.py"]
    assert subprocess.run(command, stderr=subprocess.PIPE).returncode == 2


def test_it_is_quick(results):
    def seconds():
        start = time.perf_counter()
        show(results)
        return time.perf_counter() - start

    assert min(seconds() for _ in range(5)) < 0.3  # 0.04 s unloaded; sklearn or pandas take 1
