"""regress.py: its numbers against statsmodels, its files, and what it does with bad data."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from formulaic import model_matrix
from support.guarantees import guarantee

import regress

PROJECT = Path(__file__).resolve().parent.parent
DATA = PROJECT / "data" / "auto-mpg.data"
GOLDEN = PROJECT / "tests" / "golden" / "results.csv"


def run_regress(out, **environment):
    return subprocess.run(
        [sys.executable, PROJECT / "regress.py", "--out", out],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def main_in_process(monkeypatch, capsys):
    """regress.py's main() without the seconds that a new process spends on imports."""

    def run(out, data=DATA, *options):
        argv = ["regress.py", "--data", str(data), "--out", str(out), *options]
        monkeypatch.setattr(sys, "argv", argv)
        try:
            regress.main()
            code = 0
        except SystemExit as stop:  # as the interpreter does at the end
            code = stop.code
            if isinstance(code, str):
                print(code, file=sys.stderr)
                code = 1
        said = capsys.readouterr()
        return subprocess.CompletedProcess(argv, code, said.out, said.err)

    return run


@pytest.fixture(scope="module")
def frame():
    cars, _dropped = regress.read_cars(DATA)
    return regress.split(cars, regress.SEED)


@pytest.fixture(scope="module")
def results(frame):
    return regress.fit_models(*frame)


@pytest.fixture(scope="module")
def first_run(tmp_path_factory):
    out = tmp_path_factory.mktemp("first")
    run = run_regress(out)
    assert run.returncode == 0, run.stderr
    return run, out


def peer_errors(formula, frame):
    """(train, test) error of statsmodels' OLS, on a matrix built for this one formula."""
    cars, train = frame
    y, x = model_matrix(formula, cars, context={"Sum": regress.SumContrasts})
    y, x = np.asarray(y, float).ravel(), np.asarray(x, float)
    fit = sm.OLS(y[train], x[train]).fit(method="pinv", rtol=1e-10)
    squared = (y - fit.predict(x)) ** 2
    return squared[train].mean(), squared[~train].mean()


@pytest.mark.filterwarnings("ignore:The design matrix is rank-deficient")
def test_the_models_agree_with_statsmodels(frame, results):
    assert len(results) == 11
    for row in results.itertuples():
        train, test = peer_errors(row.formula, frame)
        # The models with a column a car name are ill-conditioned: the test errors lose digits.
        assert row.train_mse == pytest.approx(train, rel=1e-12)
        assert row.test_mse == pytest.approx(test, rel=1e-12 if row.model <= 7 else 1e-9)


def test_the_split_and_the_noise_are_numpys_frozen_stream(frame):
    cars, train = frame
    random = np.random.RandomState(regress.SEED)
    for drawn in (train, cars["noise1"], cars["noise2"], cars["noise3"]):
        assert (np.asarray(drawn) == (random.rand(392) < 0.8)).all()


def test_the_lesson_does_not_hang_on_the_seed():
    cars, _dropped = regress.read_cars(DATA)
    best = []
    for seed in regress.SEED, *range(4):
        results = regress.fit_models(*regress.split(cars, seed))
        assert (np.diff(results.train_mse) <= 1e-12).all()
        assert results.test_mse[7] > results.test_mse[6]
        best.append(results.test_mse.idxmin() + 1)
    assert best[0] == 7 and set(best) <= {6, 7} and best.count(7) > 2


def test_the_results_are_the_golden_ones_to_the_byte(first_run):
    assert (first_run[1] / "results.csv").read_bytes() == GOLDEN.read_bytes()


def test_another_blas_kernel_and_matplotlibrc_write_the_same_bytes(first_run, tmp_path):
    (tmp_path / "matplotlibrc").write_text("font.size: 20\naxes.facecolor: black\n")
    out = tmp_path / "deep" / "down"
    run = run_regress(
        out,
        MATPLOTLIBRC=str(tmp_path / "matplotlibrc"),
        OPENBLAS_CORETYPE="Prescott",  # the plainest x86-64 there is; ignored elsewhere
        OPENBLAS_NUM_THREADS="1",
    )
    assert run.returncode == 0, run.stderr
    assert sorted(os.listdir(str(out))) == ["bias_variance.png", "results.csv"]
    for name in os.listdir(str(out)):
        assert (out / name).read_bytes() == (first_run[1] / name).read_bytes(), name


def test_it_says_what_it_did_and_draws_a_small_picture(first_run):
    run, out = first_run
    assert run.stderr == ""
    assert run.stdout.splitlines() == [
        "392 cars (6 more without horsepower left out), seed 1993: 313 to train on, "
        "79 to test with",
        f"wrote {out}/results.csv {out}/bias_variance.png",
    ]
    picture = (out / "bias_variance.png").read_bytes()
    assert picture == (PROJECT / "docs/bias_variance.png").read_bytes()
    assert int.from_bytes(picture[16:20], "big") == 900 and len(picture) < 100000


def test_another_seed_gives_other_numbers(main_in_process, tmp_path):
    assert main_in_process(tmp_path, DATA, "--seed", "7").returncode == 0
    ours, theirs = pd.read_csv(GOLDEN), pd.read_csv(tmp_path / "results.csv")
    assert (ours.formula == theirs.formula).all() and (ours.test_mse != theirs.test_mse).all()


def assert_one_line_error(run, *fragments):
    assert run.returncode == 1, run
    assert len(run.stderr.splitlines()) == 1, run.stderr
    assert run.stderr.startswith("regress.py: ")
    for fragment in fragments:
        assert fragment in run.stderr


LINES = DATA.read_text().splitlines(True)
BAD_DATA = {
    "text in numbers": "".join(LINES).replace("3436.", "heavy"),
    "no first column": "".join(line[7:] for line in LINES),
    "no last column": "".join(line[:56] + "\n" for line in LINES),
    "a surplus column": "".join(LINES).replace('"\n', '" x\n'),
    "? for mpg": "".join(LINES).replace("18.0   8", "?   8"),
    "an open quote": "".join(LINES).replace('iii"', "iii"),
    "a header": "mpg cylinders displacement\n" + "".join(LINES),
    "a cut line": "".join(LINES)[:20000],
    "another file": "<html><body>Not here</body></html>\n",
    "no UTF-8": "".join(LINES).replace("fury", "f\udcfcry"),
    "no bytes": "",
    "a few cars": "".join(LINES[:10]),
}


@guarantee(
    "The data",
    "missing columns, text or NaN for numbers, open quotes, no rows, few rows",
    "one line that names the file, and the older results stay",
)
@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data_is_one_line_and_the_older_results_stay(case, main_in_process, tmp_path):
    data, out = tmp_path / "bad.data", tmp_path / "out"
    data.write_bytes(BAD_DATA[case].encode(errors="surrogateescape"))
    out.mkdir()
    (out / "results.csv").write_text("older")
    assert_one_line_error(main_in_process(out, data), str(data))
    assert os.listdir(str(out)) == ["results.csv"]
    assert (out / "results.csv").read_text() == "older"


def test_what_cannot_be_read_or_written_is_one_line(main_in_process, tmp_path):
    data, out = tmp_path / "no.data", tmp_path / "out"
    assert_one_line_error(main_in_process(out, data), str(data), "No such file")
    assert not out.exists()
    (out / "results.csv").mkdir(parents=True)
    assert_one_line_error(main_in_process(out), f"{out / 'results.csv'}: Is a directory")
    assert os.listdir(str(out)) == ["results.csv"]
    assert_one_line_error(main_in_process(DATA), f"{DATA}: File exists")


@guarantee("The data", "a picture that can't be written", "the older results stay")
def test_an_older_file_is_replaced_only_when_all_are_whole(tmp_path):
    older = {"results.csv": b"older", "bias_variance.png": b"older"}
    regress.write(tmp_path, older)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10000, limit[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            regress.write(tmp_path, {"results.csv": b"newer", "bias_variance.png": bytes(20000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == older


def test_wrong_usage_exits_2(main_in_process, tmp_path):
    for option in "--seed=-1", "--seed=4294967296", "--seed=x", "--nope":
        run = main_in_process(tmp_path, DATA, option)
        assert run.returncode == 2 and option.partition("=")[0] in run.stderr
