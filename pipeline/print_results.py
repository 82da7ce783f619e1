#!/usr/bin/env python3
"""Print the results table of a run, what to see in it, and where its picture is.

usage: print_results.py [--first DAY] RESULTS_DIR

--first DAY: if the day of RESULTS_DIR had no DAG run, show the last day since DAY that had one.

Exit status: 0 printed; 1 results.csv is missing or damaged; 2 usage.
"""

import argparse
import csv
import math
import re
import sys
from pathlib import Path

from airflow_sandbox.commands import make_command
from airflow_sandbox.errors import UserError

HEADER = ["model", "formula", "train_mse", "test_mse"]
MODELS = list(range(1, 12))
BAR = 16  # width of the longest bar, in characters


def read_results(folder):
    """Return the rows of results.csv as (model, term it adds, train_mse, test_mse).

    Raises OSError if the file cannot be read, UserError if it is not what regress.py writes.
    """
    path = folder / "results.csv"
    try:
        with open(path, encoding="utf-8", newline="") as file:
            header, *lines = csv.reader(file)
        rows = [
            (int(model), re.split(" [~+] ", formula)[-1], float(train), float(test))
            for model, formula, train, test in lines
        ]
    except (ValueError, csv.Error) as error:
        raise UserError(f"{path} is damaged: {error}") from error
    if header != HEADER or [row[0] for row in rows] != MODELS:
        raise UserError(f"{path} is damaged: it has not {','.join(HEADER)} of the eleven models")
    for model, term, *errors in rows:
        if not term.isprintable() or not all(0 <= mse < math.inf for mse in errors):
            raise UserError(f"{path} is damaged: model {model} has no term or no errors")
    return rows


def last_results(folder, first):
    """Return the folder, or of the days before it, back to first, the last one with results."""
    for day in sorted(folder.parent.glob("*"), reverse=True):
        if first <= day.name <= folder.name and (day / "results.csv").exists():
            return day
    return folder


def again(folder):
    """Return the command that makes the results in a folder again."""
    return make_command("backfill", given=True, START=None, END=None, DATE=folder.resolve().name)


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
            f"Past model {best[0]} more terms only memorize the training cars: overfitting."
        )
    return lines


def main():
    parser = argparse.ArgumentParser(description="Print the results table of a run.")
    parser.add_argument("--first", metavar="DAY")
    parser.add_argument("folder", metavar="RESULTS_DIR", type=Path)
    arguments = parser.parse_args()
    folder = arguments.folder
    if arguments.first:
        folder = last_results(folder, arguments.first)
        if folder != arguments.folder:
            print(f"The last day that had a run is {folder.name}.\n")
    try:
        rows = read_results(folder)
    except (OSError, UserError) as error:
        sys.exit(f"print_results.py: {error}; next: {again(folder)}")
    plain = not (sys.stdout.encoding or "").lower().startswith("utf")
    block, mark = ("#", "< best") if plain else ("█", "◀ best")
    print("\n".join([*table(rows, block, mark), "", *lesson(rows)]))
    print(f"\nPicture: {folder / 'bias_variance.png'}")


if __name__ == "__main__":
    main()
