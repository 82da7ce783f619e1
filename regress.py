#!/usr/bin/env python3
"""Fit eleven nested linear models of a car's miles per gallon, and show what overfitting is.

Each model is the one before plus one term. A fifth of the cars is held back as the test set. The
error on the training cars never rises with another term; the error on the test cars falls while
the terms say something about cars, and rises once they only say something about these cars.

--data names a file like data/auto-mpg.data, of at most 2000 lines and 300000 bytes.
Writes two files to the --out folder: results.csv (model,formula,train_mse,test_mse; one row a
model) and bias_variance.png (the same numbers as a picture).

Exit status: 0 done; 1 the data or the folder is no good (one line on stderr says why); 2 usage.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import sys
import tempfile
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from formulaic import model_matrix
from formulaic.transforms.contrasts import SumContrasts
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from sklearn.linear_model import LinearRegression

HERE = Path(__file__).resolve().parent

NUMBERS = [
    "mpg",
    "cylinders",
    "displacement",
    "horsepower",
    "weight",
    "acceleration",
    "model_year",
    "origin",
]
# No car has less than 1 or more than 99999 of anything, in the units of data/README.md.
EXPECTED = dict.fromkeys(NUMBERS, "a number from 1 to 99999")
EXPECTED["horsepower"] += ", or ? if it is unknown"
EXPECTED["car_name"] = "a name, in double quotes if it has blanks"
EXPECTED["surplus"] = "the end of the line"
# What files of other kinds begin with.
KINDS = {
    b"\xff\xfe": "text in UTF-16; save it as UTF-8",
    b"\xfe\xff": "text in UTF-16; save it as UTF-8",
    b"\x1f\x8b": "a gzip archive; unpack it",
    b"PK\x03\x04": "a zip archive or a spreadsheet; unpack it, or save it as text",
}
FIELD = re.compile(r'"[^"]*"|\S+')
NAME = re.compile(r'"[^"]+"|[^"]+')

# Five times the published file. A model has a column for each name: 2000 cars that all have names
# of their own take 0.4 GB and half a minute, and twice as many twice and four times that.
MOST_LINES = 2000
MOST_BYTES = 300_000

# Model k is the first k of these.
TERMS = [
    "weight",
    "displacement",
    "np.log(acceleration)",
    "np.log(horsepower_int)",
    "C(cylinders, Sum)",
    "C(model_year, Sum)",
    "C(origin, Sum)",
    "C(car_name, Sum)",
    "noise1",
    "noise2",
    "noise3",
]
FORMULAS = ["mpg ~ " + " + ".join(TERMS[:k]) for k in range(1, len(TERMS) + 1)]

# The year this data set was published. The lesson does not hang on it: of the seeds 0 to 499,
# 396 put the lowest test error at model 7 (94 at model 6), and 496 have it rise from 7 to 8.
SEED = 1993

# Least squares treats singular values below this share of the largest one as zero. Over 500 seeds
# the smallest real one is 1e-6 of the largest (weights are in thousands, the columns of car names
# in ones) and the largest that is only rounding 1e-17. scikit-learn's own default is 1e-6.
RANK_TOLERANCE = 1e-10

# Measured over three sets of releases and five BLAS kernels, on one and two threads: the errors
# of models 1 to 7 move by less than 1e-13, the test errors of 8 to 11 (ill-conditioned, see
# above) by 3e-10. The value nearest to a rounding boundary of the fifth decimal is 4e-7 from it.
DECIMALS = 5


class BadData(Exception):
    """The data file cannot be used; the message says where and why."""


def read_lines(path):
    """Return the lines of a text file that is no larger than it may be.

    Raises BadData, without reading on, if it is larger or has no end; OSError.
    """
    if path.exists() and not path.is_file():
        raise BadData(f"{path}: a folder, a pipe or a device, expected a file")
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES or content.count(b"\n") > MOST_LINES:
        raise BadData(
            f"{path}: more than {MOST_LINES} lines or {MOST_BYTES} bytes, the most it takes"
        )
    # Bytes that are no UTF-8 become characters that are neither a number nor printable. Empty lines
    # at the end, which an editor leaves, mean nothing.
    text = content.decode("utf-8-sig", "surrogateescape")
    kind = kind_of(content, text)
    if kind:
        raise BadData(f"{path}: this seems to be {kind}, expected a text like data/auto-mpg.data")
    return list(io.StringIO(text.rstrip() and text.rstrip() + "\n"))


def kind_of(content, text):
    """Return in a few words what a file is, of the kinds that people mistake for this one, or None.

    content: its bytes. text: the same, decoded as UTF-8.
    """
    for begin, kind in KINDS.items():
        if content.startswith(begin):
            return kind
    first = text.lstrip().partition("\n")[0]
    if "\r" in text and "\n" not in text:
        return "text with the line ends of an old Mac (CR); save it with those of today (LF)"
    if text.lstrip().startswith("<"):
        return "a web page, or XML"
    # Eight commas part nine columns. The last column, a name, may have some of its own.
    for mark, name in (",", "commas"), (";", "semicolons"):
        if first.partition('"')[0].count(mark) >= len(NUMBERS) - 1:
            return f"a CSV file, its columns parted by {name}; here it is blanks"
    if first.split()[:1] == ["mpg"]:
        return "a table with a header; here the first line is the first car"
    return None


def read_cars(path):
    """Read the Auto MPG file and keep the cars whose horsepower is known.

    path: text file as published by the UCI Machine Learning Repository: no header, nine columns
    separated by blanks, `?` for an unknown horsepower, the name in double quotes.

    Returns (cars, dropped): a DataFrame with one row a car (392 in the published file) and how
    many rows were left out. Columns as in data/README.md, plus horsepower_int: mpg in miles per
    US gallon, displacement in cubic inches, horsepower, weight in pounds, acceleration in
    seconds from 0 to 60 mph.

    Raises BadData, naming line and column, if anything is not as described; OSError if the file
    cannot be read.
    """
    # As text first, so that a message can quote what is there; not by pandas, whose rows are not
    # the file's lines where a quote or a column is missing.
    width = len(EXPECTED)
    rows = [(FIELD.findall(line) + [""] * width)[:width] for line in read_lines(path)]
    if not rows:
        raise BadData(f"{path}: no rows, the file is empty")
    text = pd.DataFrame(rows, columns=list(EXPECTED), dtype=object)

    numbers = text[NUMBERS].apply(pd.to_numeric, errors="coerce")
    good = (numbers >= 1) & (numbers <= 99999)
    good["horsepower"] |= text["horsepower"] == "?"
    good["car_name"] = [bool(NAME.fullmatch(n)) and n.isprintable() for n in text["car_name"]]
    good["surplus"] = text["surplus"] == ""
    if not good.to_numpy().all():
        row, column = np.argwhere(~good.to_numpy())[0]
        name = good.columns[column]
        if not "".join(rows[row]):
            raise BadData(f"{path}: line {row + 1} is empty, expected a car; take it out")
        raise BadData(
            f"{path}: line {row + 1}, column {column + 1} ({name}): "
            f"found {text.loc[row, name][:40]!r}, expected {EXPECTED[name]}"
        )

    cars = numbers.assign(car_name=text["car_name"].str.strip('"')).dropna()
    if cars.empty:
        raise BadData(f"{path}: no rows with a known horsepower")
    for name in ["cylinders", "model_year", "origin", "car_name"]:
        if cars[name].nunique() < 2:
            raise BadData(f"{path}: too few rows, all have the same {name}: {cars[name].iloc[0]}")
    cars["horsepower_int"] = cars["horsepower"].astype(int)
    return cars, len(text) - len(cars)


def split(cars, seed):
    """Draw the training set and add the columns noise1, noise2 and noise3, true for 4 in 5 cars.

    Returns (cars with the noise columns, train): train is a boolean array, one value a car.
    RandomState's stream is frozen by numpy's compatibility policy, default_rng's is not.
    """
    train, *noise = np.random.RandomState(seed).rand(4, len(cars)) < 0.8
    return cars.assign(**{f"noise{i}": column for i, column in enumerate(noise, 1)}), train


def fit_models(cars, train):
    """Fit the eleven models on cars[train] and measure them on both parts.

    Returns a DataFrame with the columns model (1 to 11), formula, train_mse and test_mse: the
    mean squared error in (miles per gallon) squared, over the number of cars in that part.

    The formulas are R's (Wilkinson and Rogers 1973); `C(x, Sum)` is sum contrasts, over all the
    levels in `cars`, so every model can predict cars it has not seen. From model 8 on there are
    more columns than cars to fit; of all the best fits, least squares gives the smallest.
    """
    # Building the last model's matrix is enough: its first columns are the other models'.
    y, x = model_matrix(FORMULAS[-1], cars, context={"Sum": SumContrasts})
    _intercept, *columns = x.model_spec.term_slices.values()
    y, x = y.to_numpy(dtype=float).ravel(), x.to_numpy(dtype=float)

    results = []
    for number, formula in enumerate(FORMULAS, 1):
        width = columns[number - 1].stop
        model = LinearRegression(fit_intercept=False)
        model.tol = RANK_TOLERANCE  # not an argument: old releases have none, and do without
        model.fit(x[train, :width], y[train])
        squared = (y - model.predict(x[:, :width])) ** 2
        results.append((number, formula, squared[train].mean(), squared[~train].mean()))
    return pd.DataFrame(results, columns=["model", "formula", "train_mse", "test_mse"])


def as_csv(results):
    """The results as the bytes of a CSV file, errors with DECIMALS places."""
    return results.to_csv(index=False, float_format=f"%.{DECIMALS}f").encode()


def as_png(results):
    """The results as the bytes of a PNG picture: both errors against the model's number."""
    test_colour, train_colour, grey = "#c44e00", "#1f6fb4", "#666666"
    numbers, test, train = results["model"], results["test_mse"], results["train_mse"]
    best = test.idxmin()

    matplotlib.rcdefaults()  # the user's own matplotlibrc must not change the picture
    figure = Figure(figsize=(9, 5.6), dpi=100)
    axes = figure.add_axes((0.08, 0.3, 0.9, 0.59))
    axes.set_title(
        "More terms always fit the training cars better, new cars only up to a point",
        loc="left",
        fontweight="bold",
    )
    axes.plot(numbers, test, "o-", color=test_colour, label="test: cars held back")
    axes.plot(numbers, train, "s-", color=train_colour, label="training: cars fitted")
    axes.axvline(numbers[best], color=grey, linestyle=":", linewidth=1)
    axes.plot(numbers[best], test[best], "o", markersize=13, mfc="none", mec=test_colour, mew=1.8)
    axes.annotate(
        f"best: model {numbers[best]},\ntest error {test[best]:.1f}",
        (numbers[best], test[best]),
        xytext=(12, 60),
        textcoords="offset points",
        color=test_colour,
        arrowprops={"arrowstyle": "-", "color": test_colour, "shrinkB": 8},
    )
    axes.set_ylim(0, 1.08 * max(test.max(), train.max()))
    axes.set_ylabel("mean squared error, (miles per gallon)²")
    labels = [f"{'+ ' if k > 1 else ''}{term}   {k}" for k, term in enumerate(TERMS, 1)]
    axes.set_xticks(numbers)
    axes.set_xticklabels(labels, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_xlabel("model: the one before it and one more term")
    axes.grid(axis="y", color="#dddddd")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)

    png = io.BytesIO()
    FigureCanvasAgg(figure).print_png(png, metadata={"Software": None})
    return png.getvalue()


def write(folder, files):
    """Write files, {name: bytes}, to a folder: none is put there before all are whole."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".regress.", dir=folder) as temporary:
        for name, content in files.items():
            Path(temporary, name).write_bytes(content)
        for name in files:
            os.replace(Path(temporary, name), folder / name)


def parse_arguments():
    parser = argparse.ArgumentParser(
        description="Fit eleven nested linear models of miles per gallon; write results.csv "
        "and bias_variance.png."
    )
    parser.add_argument("--data", metavar="FILE", type=Path, default=HERE / "data/auto-mpg.data")
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("results"))
    parser.add_argument("--seed", metavar="N", type=int, default=SEED, help="default: %(default)s")
    arguments = parser.parse_args()
    if not 0 <= arguments.seed < 2**32:
        parser.error("--seed must be from 0 to 4294967295")
    return arguments


def main():
    arguments = parse_arguments()
    try:
        cars, dropped = read_cars(arguments.data)
        cars, train = split(cars, arguments.seed)
        if train.all() or not train.any():
            raise BadData(f"{arguments.data}: too few rows to split: {len(cars)}")
        # Rounded before drawing too: a pixel's shade shows a difference in the last digit.
        results = fit_models(cars, train).round(DECIMALS)
        files = {"results.csv": as_csv(results), "bias_variance.png": as_png(results)}
        write(arguments.out, files)
    except BadData as error:
        sys.exit(f"regress.py: {error}")
    except OSError as error:
        path = error.filename2 or error.filename or arguments.out
        sys.exit(f"regress.py: {path}: {error.strerror or error}")
    print(
        f"{len(cars)} cars ({dropped} more without horsepower left out), seed {arguments.seed}: "
        f"{train.sum()} to train on, {(~train).sum()} to test with"
    )
    print("wrote", *(str(arguments.out / name) for name in files))


if __name__ == "__main__":
    main()
