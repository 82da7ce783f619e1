"""make help: what it lists is grouped, aligned, and shows what the variables are now."""

import re
import shutil

import pytest

WIDTH = 80


@pytest.fixture(scope="module")
def checkout(new_checkout):
    return new_checkout()


def groups(text):
    """Return {heading: its lines} of the help, in order."""
    blocks = [block.splitlines() for block in text.rstrip("\n").split("\n\n")]
    return {heading: lines for heading, *lines in blocks}


def values(text):
    """Return {variable: value} of the help."""
    return dict(re.findall(r"^  ([A-Z_]+)=(\S*)", text, re.MULTILINE))


def test_the_targets_are_grouped_the_tutorials_steps_first_and_in_order(checkout):
    shown = groups(checkout.make("help").stdout)
    headings = list(shown)
    # Then the variables, in groups of their own.
    empty = [heading for heading, lines in shown.items() if not lines]
    assert len(empty) == 1 and empty[0].startswith("Variables")
    assert headings.index("Care") < headings.index(empty[0]) < headings.index("What to run")
    assert headings[0].startswith("The tutorial") and headings[-1].startswith("At a larger scale")
    assert headings.index("The proof") < headings.index("Care")
    targets = {
        heading: [line.split()[1] for line in lines if line.startswith("  make ")]
        for heading, lines in shown.items()
    }
    makefile = (checkout.path / "Makefile").read_text()
    steps = re.search(r"^all: (prerequisites .*)", makefile, re.MULTILINE)[1].split()
    steps = [step for step in steps if f"\n## {step} : " in makefile]
    assert targets[headings[0]] == ["all", *steps]
    assert "verify" in targets["The proof"] and "clean" in targets["Care"]


def test_the_columns_are_straight_and_no_line_is_too_long_for_a_terminal(checkout):
    shown = checkout.make("help", "CONDA=/opt/conda/envs/one/with/a/long/path/bin/conda").stdout
    columns = set()
    for line in shown.splitlines():
        assert len(line) <= WIDTH
        entry = re.match(r"(  make [\w-]+ +|  [A-Z_]+=\S* +| {3,})(?=\S)", line)
        if entry:
            columns.add(entry.end())
    assert columns == {23}
    # A value that has no room in its column keeps the line to itself.
    assert "\n  CONDA=/opt/conda/envs/one/with/a/long/path/bin/conda\n    " in shown


def test_the_variables_are_shown_as_they_are_now(checkout):
    plain = values(checkout.make("help").stdout)
    assert plain["EDITION"] == "3" and plain["ENV_MANAGER"] == "auto" and plain["PYTHON"] == ""
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", plain["DATE"])
    assert plain["START"] == plain["END"] == plain["DATE"]
    given = "EDITION=2 PORT=1 make help PYTHON=python3.12 DATE=2024-02-29 'DATA_URL=http://a/\\n&b'"
    assert values(checkout.run("bash", "-c", given).stdout) == {
        **plain,
        **dict.fromkeys(("DATE", "START", "END"), "2024-02-29"),
        "EDITION": "2",
        "PYTHON": "python3.12",
        "DATA_URL": r"http://a/\n&b",
    }


@pytest.mark.parametrize("awk", ["mawk", "gawk", "original-awk", "busybox awk"])
def test_every_awk_prints_the_same_help_and_nothing_but_an_awk_is_needed(checkout, tmp_path, awk):
    program, *words = awk.split()
    if not shutil.which(program):
        pytest.skip(f"there is no {program} on PATH")
    for name in "make", "bash", "date":
        (tmp_path / name).symlink_to(shutil.which(name))
    path = tmp_path / "awk"
    path.write_text(
        f'#!{shutil.which("bash")}\nexec {shutil.which(program)} {" ".join(words)} "$@"\n'
    )
    path.chmod(0o755)
    outcome = checkout.make("help", env={"PATH": str(tmp_path)})
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert outcome.stdout == checkout.make("help").stdout
