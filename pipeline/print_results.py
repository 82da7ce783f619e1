#!/usr/bin/env python3
"""Print the results table of a run, what to see in it, and where its picture is.

usage: print_results.py [--since FILE] RESULTS_DIR

--since FILE: show only what is not older than FILE, which was touched before a backfill; if its
last day, that of RESULTS_DIR, had no DAG run, the last one that had.

Exit status: 0 printed; 1 results.csv or the picture is missing, damaged or too old; 2 usage.
"""

import argparse
import csv
import io
import math
import os
import re
import sys

HEADER = ["model", "formula", "train_mse", "test_mse"]
MODELS = 11
BAR = 16  # width of the longest bar, in characters
MOST = 100000  # bytes of results.csv; regress.py writes 1 442


class Damaged(Exception):
    """results.csv is not what regress.py writes; the message says why."""


def read_results(path):
    """Return the rows of results.csv as (model, term it adds, train_mse, test_mse).

    Raises OSError if the file cannot be read, Damaged if it is not what regress.py writes.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise Damaged("it is a folder, a pipe or a device")
    with open(path, "rb") as file:
        content = file.read(MOST + 1)
    if len(content) > MOST:
        raise Damaged(f"more than {MOST} bytes")
    try:
        header, *lines = list(csv.reader(io.StringIO(content.decode()))) or [[]]
    except (UnicodeDecodeError, csv.Error) as error:
        raise Damaged(str(error)) from error
    if header != HEADER:
        raise Damaged("the first line is not " + ",".join(HEADER))
    if len(lines) != MODELS:
        raise Damaged(f"{len(lines)} rows instead of {MODELS}")

    rows, before = [], "mpg ~ "
    for number, line in enumerate(lines, 1):
        try:
            model, formula, train, test = line
            row = (int(model), formula[len(before) :].strip(" +"), float(train), float(test))
        except ValueError as error:
            raise Damaged("model {} is not {}".format(number, ",".join(HEADER))) from error
        more = row[1] and formula.startswith(before) and formula.isprintable()
        if row[0] != number or not more:
            raise Damaged(f"model {number} is not the one before it and one more term")
        if not all(math.isfinite(error) and error >= 0 for error in row[2:]):
            raise Damaged(f"model {number} has an error that is no number, or a negative one")
        rows.append(row)
        before = formula
    return rows


def last_since(file, folder):
    """Return the folder, or the last one beside it of an earlier day, whose results are not older
    than a file; None if there is none."""
    parent, day = os.path.split(os.path.abspath(folder))
    for name in sorted(os.listdir(parent), reverse=True):
        results = os.path.join(parent, name, "results.csv")
        if name > day or not os.path.exists(results):
            continue
        if os.path.getmtime(results) >= os.path.getmtime(file):
            return os.path.relpath(os.path.join(parent, name))
    return None


def again(folder):
    """Return the command that makes the results in a folder again."""
    edition, day = os.path.abspath(folder).split(os.sep)[-2:]
    if not re.match(r"\d{4}-\d\d-\d\d$", day):
        return "make backfill"
    return f"make backfill EDITION={edition} DATE={day}"


def best_of(rows):
    """Return the row with the lowest test error, the first of them if there are more."""
    return min(rows, key=lambda row: row[3])


def table(rows, block, mark):
    """Return the rows as the lines of a table, at most 80 columns wide."""
    best = best_of(rows)
    longest = max(row[3] for row in rows) or 1
    lines = ["model  adds                          train MSE   test MSE"]
    for row in rows:
        model, term, train, test = row
        bar = block * round(BAR * (test / longest))
        line = f"{model:>5}  {term:<26} {train:>12.5f} {test:>10.5f}  {bar}"
        lines.append(line + (" " + mark if row is best else ""))
    return lines


def lesson(rows):
    """Return what to see in the rows, computed from them, as lines."""
    best = best_of(rows)
    first, last = rows[0], rows[-1]
    lines = [
        f"Training error goes from {first[2]:.2f} to {last[2]:.2f} as terms are added.",
        f"Test error is lowest at model {best[0]} ({best[3]:.2f})",
    ]
    if best is last:
        lines[1] += ", the last one: no overfitting seen here."
    else:
        lines[1] += f" and rises to {last[3]:.2f} at model {last[0]}."
        lines.append(
            f"Past model {best[0]} more terms only learn the training cars by heart: overfitting."
        )
    return lines


def main():
    parser = argparse.ArgumentParser(description="Print the results table of a run.")
    parser.add_argument("--since", metavar="FILE")
    parser.add_argument("results", metavar="RESULTS_DIR")
    arguments = parser.parse_args()
    folder = arguments.results
    if arguments.since and os.path.isdir(os.path.dirname(folder)):
        folder = last_since(arguments.since, folder)
        if not folder:
            day = os.path.basename(arguments.results)
            sys.exit(
                "print_results.py: this run made no results.csv; what there is comes from an"
                f" earlier one. To see that: make results DATE={day}"
            )
        if folder != arguments.results:
            print(f"The last day that had a run is {os.path.basename(folder)}.\n")
    path = os.path.join(folder, "results.csv")
    try:
        rows = read_results(path)
    except OSError as error:
        sys.exit(f"print_results.py: {path}: {error.strerror}; next: {again(folder)}")
    except Damaged as error:
        sys.exit(f"print_results.py: {path} is damaged: {error}; next: {again(folder)}")

    block, mark = "█", "◀ best"
    try:
        (block + mark).encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        block, mark = "#", "< best"
    picture = os.path.abspath(os.path.join(folder, "bias_variance.png"))
    here = os.getcwd() + os.sep
    print("\n".join([*table(rows, block, mark), "", *lesson(rows)]))
    shown = picture[len(here) :] if picture.startswith(here) else picture
    if not os.path.exists(picture):
        sys.exit(f"print_results.py: {shown} is missing; next: {again(folder)}")
    print("\nPicture: " + shown)


if __name__ == "__main__":
    main()
