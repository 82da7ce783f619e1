"""The report: the page says what is in the files and in Airflow, and needs nothing else.

These tests hold for every edition: pytest --edition 2 tests/test_report.py
"""

import csv
import hashlib
import json
import os
import re
import resource
import shutil
import sqlite3
import subprocess
from datetime import datetime
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from support.checkouts import PROJECT
from support.lines import GOLDEN, results_of

DAY = "2024-01-01"
VOID = {"meta", "link", "img", "br", "hr", "input"}


class Page(HTMLParser):
    """A page, parsed: tags [(name, attributes)], text {name: [text of each]}.

    Tags that are not closed, or not in the order they were opened, fail an assertion.
    """

    def __init__(self, source):
        super().__init__()
        self.source, self.tags, self.text, self.open = source, [], {}, []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, name, attributes):
        self.tags.append((name, dict(attributes)))
        if name not in VOID:
            self.open.append(name)
            self.text.setdefault(name, []).append("")

    def handle_startendtag(self, name, attributes):
        self.tags.append((name, dict(attributes)))

    def handle_endtag(self, name):
        assert self.open.pop() == name

    def handle_data(self, data):
        for name in self.open:
            self.text[name][-1] += data

    def attributes(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]

    def svgs(self):
        """The drawings, as XML; not the marks of the key, which are text's own."""
        sources = re.findall(r"<svg.*?</svg>", self.source, re.DOTALL)
        drawings = [ElementTree.fromstring(source) for source in sources]
        return [svg for svg in drawings if svg.get("aria-hidden") != "true"]

    def facts(self):
        """The table of what was run, as {name: text}."""
        cells = re.findall(r'<tr><th scope="row">(.*?)</th><td>(.*?)</td></tr>', self.source)
        return {name: re.sub("<.*?>", "", text) for name, text in cells}


def make_report(checkout, folder, **options):
    return checkout.run("bin/sandbox", "python", "pipeline/make_report.py", folder, **options)


def page_of(checkout, folder):
    """Make the report of a folder and return it as a Page."""
    outcome = make_report(checkout, folder.relative_to(checkout.path))
    assert (outcome.returncode, outcome.stderr) == (0, "")
    report = folder / "report.html"
    assert outcome.stdout == f"Report: {report.relative_to(checkout.path)}\n"
    return Page(report.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def bare(new_checkout):
    """A checkout that never ran Airflow."""
    return new_checkout()


@pytest.fixture
def golden(bare):
    """A results folder in it: the golden table and the published data."""
    folder = results_of(bare, DAY)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(GOLDEN, folder)
    shutil.copy(PROJECT / "data/auto-mpg.data", folder)
    return folder


@pytest.fixture(scope="module")
def ran(finished):
    """The page about a run of today."""
    return page_of(finished, results_of(finished))


@pytest.fixture
def twin(finished, new_checkout):
    """A checkout with a copy of all that the run of today left, to be damaged."""
    checkout = new_checkout()
    shutil.copytree(finished.home, checkout.home)
    shutil.copytree(finished.path / "results", checkout.path / "results")
    return checkout


def models(page):
    """The rows of the table of the models, as lists of their cells' texts."""
    table = re.search(r'<table class="models">.*?</table>', page.source, re.DOTALL)[0]
    rows = re.findall(r"<tr.*?</tr>", table)[1:]
    cells = [re.findall(r"<t[hd].*?</t[hd]>", row) for row in rows]
    return [[re.sub("<.*?>", "", cell) for cell in row] for row in cells]


def test_every_number_is_that_of_the_results(bare, golden):
    with open(GOLDEN, newline="") as file:
        expected = list(csv.DictReader(file))
    shown = models(page_of(bare, golden))
    assert len(shown) == len(expected) == 11
    for (number, term, train, test), row in zip(shown, expected, strict=True):
        assert [number, train, test] == [row["model"], row["train_mse"], row["test_mse"]]
        assert row["formula"].endswith(term.replace(" ◀ best", ""))


def test_only_the_lowest_test_error_is_marked(bare, golden):
    page = page_of(bare, golden)
    assert [row[0] for row in models(page) if "best" in row[1]] == ["7"]
    assert page.source.count('class="best"') == 1
    assert "best: model 7, test error 7.48" in page.text["text"]
    results = golden / "results.csv"
    results.write_text(results.read_text().replace("21.12412", "1.12412"))
    page = page_of(bare, golden)
    assert [row[0] for row in models(page) if "best" in row[1]] == ["1"]
    assert "best: model 1, test error 1.12" in page.text["text"]


def test_the_points_of_the_picture_are_where_the_numbers_are(bare, golden):
    picture, *_ = page_of(bare, golden).svgs()
    lines = [float(line.get("y1")) for line in picture.iter("line") if line.get("class") == "grid"]
    labels = [text.text for text in picture.iter("text") if text.get("x") == "0"]
    assert labels == ["0", "5", "10", "15", "20"]
    pixels = (lines[0] - lines[-1]) / 20  # for one (mile per gallon)²
    with open(GOLDEN, newline="") as file:
        expected = list(csv.DictReader(file))
    for name, shape, y in ("test_mse", "circle", "cy"), ("train_mse", "rect", "y"):
        found = [float(mark.get(y)) for mark in picture.iter(shape) if mark.get("class") != "ring"]
        errors = [(lines[0] - at) / pixels for at in found]
        assert errors == pytest.approx([float(row[name]) for row in expected], abs=0.01)


ASK_MODELS = """
import json, sys
from airflow.models import DagRun
(run,) = DagRun.find(dag_id="dag_test", run_id=sys.argv[1])
print(json.dumps([
    {"task_id": task.task_id, "start_date": str(task.start_date), "end_date": str(task.end_date)}
    for task in run.get_task_instances()
]))
"""


def test_the_bars_are_what_airflow_itself_says_of_the_tasks(finished, ran):
    run_id = re.match(r"\S+(?=,)", ran.facts()["DAG run"])[0]
    command = ["airflow", "tasks", "states-for-dag-run", "dag_test", run_id, "-o", "json"]
    if finished.edition == "1.10":  # which has no such command
        command = ["python", "-c", ASK_MODELS, run_id]
    printed = finished.run("bin/sandbox", *command).stdout
    tasks = {task["task_id"]: task for task in json.loads(printed[printed.index("[{") :])}
    times = {
        name: [datetime.fromisoformat(task[when]) for when in ("start_date", "end_date")]
        for name, task in tasks.items()
    }
    began = min(start for start, _ in times.values())
    ended = max(end for _, end in times.values())
    _, timeline = ran.svgs()
    bars = [bar for bar in timeline.iter("rect") if bar.get("class") == "bar"]
    names = [text.text for text in timeline.iter("text") if text.get("class") == "strong"]
    assert names == ["get_data", "run_regression", "print_results"]
    for name, bar in zip(names, bars, strict=True):
        start, end = times[name]
        x, width = (float(bar.get(what).rstrip("%")) / 100 for what in ("x", "width"))
        whole = (ended - began).total_seconds()
        assert x * whole == pytest.approx((start - began).total_seconds(), abs=0.01)
        assert width * whole == pytest.approx((end - start).total_seconds(), abs=0.01)
        assert f"{name}: success, started at" in ran.text["desc"][1]
        assert f"{(end - start).total_seconds():.2f} s" in ran.text["text"]


def test_it_says_what_was_run(finished, ran):
    modules = ["formulaic", "matplotlib", "numpy", "pandas", "sklearn", "airflow"]
    ask = f"import platform, {', '.join(modules)}; print(platform.python_version(), " + ", ".join(
        f"{module}.__version__" for module in modules
    )
    python, *versions = finished.run("bin/sandbox", "python", "-c", ask + ")").stdout.split()
    names = [*modules[:-2], "scikit-learn", "apache-airflow"]
    folder = results_of(finished)
    data = (folder / "auto-mpg.data").read_bytes()
    facts = ran.facts()
    assert facts.items() >= dict(zip(names, versions, strict=True)).items()
    assert facts["Python"] == python
    assert facts["Edition"] == finished.edition
    assert facts["Logical date"] == folder.name
    assert re.fullmatch(rf"backfill_\S*{folder.name}\S*, success", facts["DAG run"])
    assert facts["Data"] == "auto-mpg.data, 30286 bytes, the published file"
    assert facts["Its SHA-256"] == hashlib.sha256(data).hexdigest()
    assert re.match(r"https://|data/auto-mpg.data, the copy", facts["It came from"])
    assert re.match(r"392 \(6 more .*\): \d+ to train on, \d+ to test with$", facts["Cars"])
    assert facts["Seed"] == "1993"
    assert f"make all EDITION={finished.edition} DATE={folder.name}" in ran.text["pre"]


def test_data_that_is_not_the_published_file_is_called_so(bare, golden):
    with (golden / "auto-mpg.data").open("a") as data:
        data.write("\n")
    facts = page_of(bare, golden).facts()
    assert facts["Data"] == "auto-mpg.data, 30287 bytes, NOT the published file"


def test_the_same_run_makes_the_same_page_and_a_small_one(finished, ran):
    assert page_of(finished, results_of(finished)).source == ran.source
    assert len(ran.source.encode()) < 60_000


def without_a_run(page):
    """Return why the page knows nothing of the run; checks that it then claims nothing, either."""
    facts = page.facts()
    assert len(page.svgs()) == 1 and len(models(page)) == 11
    assert facts["DAG run"] == facts["It came from"] == facts["Cars"] == "not known"
    assert facts["Seed"] == "1993, if regress.py was run as it stands"
    (why,) = (text for text in page.text["p"] if text.startswith("How long the tasks took"))
    return why


def test_without_a_database_the_page_is_made_and_says_why_it_has_no_bars(bare, golden):
    assert "there is no metadata database" in without_a_run(page_of(bare, golden))


def test_of_a_day_that_airflow_never_ran_the_page_says_so(twin):
    folder = results_of(twin, DAY)
    results_of(twin).rename(folder)
    assert "has no run for this day" in without_a_run(page_of(twin, folder))


def test_results_that_another_command_wrote_are_not_taken_for_the_runs(twin):
    folder = results_of(twin)
    data = ["--data", folder / "auto-mpg.data", "--out", folder, "--seed", "7"]
    assert twin.run("bin/sandbox", "python", "regress.py", *data).returncode == 0
    assert "is not of the run of this day" in without_a_run(page_of(twin, folder))


def test_a_database_that_is_none_does_not_keep_the_page_from_being_made(twin):
    for file in twin.home.glob("airflow.db*"):
        file.unlink()
    (twin.home / "airflow.db").write_text("This is no database. " * 100)
    why = without_a_run(page_of(twin, results_of(twin)))
    assert "the metadata database can't be read: file is not a database" in why


@pytest.mark.parametrize(
    ("change", "bars", "said"),
    [
        ("state = 'failed'", 3, r"^[\d.]+ s, failed$"),
        ("state = 'running', end_date = NULL", 2, "^running$"),
        ("state = NULL, start_date = NULL, end_date = NULL", 2, "^did not run$"),
    ],
)
def test_a_task_that_did_not_succeed_is_shown_as_such(twin, change, bars, said):
    database = sqlite3.connect(twin.home / "airflow.db")
    with database:
        database.execute(f"UPDATE task_instance SET {change} WHERE task_id = 'print_results'")
    database.close()
    page = page_of(twin, results_of(twin))
    _, timeline = page.svgs()
    classes = [bar.get("class") for bar in timeline.iter("rect")]
    assert classes == ["bar", "bar", "bar bad"][:bars]
    assert any(re.search(said, text) for text in page.text["text"])


def test_whatever_is_put_in_is_text(twin):
    folder = results_of(twin)
    evil = '<script>alert("1")</script>&<img src=x onerror=alert(1)>'
    results = folder / "results.csv"
    times = results.stat()
    with open(results, newline="") as file:
        rows = list(csv.reader(file))
    rows[-1][1] = rows[-1][1].replace("noise3", evil)
    with open(results, "w", newline="") as file:
        csv.writer(file).writerows(rows)
    os.utime(results, ns=(times.st_atime_ns, times.st_mtime_ns))
    log = max(
        (
            log
            for log in twin.home.rglob("*.log")
            if "get_data" in str(log) and folder.name in str(log)  # other days may have run later
        ),
        key=lambda log: log.stat().st_mtime,
    )
    url = "http://me:secret@mirror/<script>alert(2)</script>"
    log.write_text(re.sub(r"(?<=bytes from )\S+(?= to )", url, log.read_text()))
    page = page_of(twin, folder)
    assert page.attributes("script") == page.attributes("img") == []
    assert evil in page.text["code"]
    assert "http://mirror/<script>alert(2)</script>" in page.text["td"]
    assert "secret" not in page.source


@pytest.fixture(params=["ran", "without a run"])
def page(request, ran, bare, golden):
    """The two kinds of page."""
    return ran if request.param == "ran" else page_of(bare, golden)


def test_it_loads_nothing_from_anywhere_and_runs_nothing(page):
    assert not {"script", "link", "iframe", "img", "object", "embed", "base", "image", "use"} & {
        name for name, _ in page.tags
    }
    for name, attributes in page.tags:
        assert not {"src", "srcset", "href", "xlink:href", "data", "action"} & attributes.keys()
        assert not any(attribute.startswith("on") for attribute in attributes), name
    assert "url(" not in page.source and "@import" not in page.source
    (policy,) = (
        attributes["content"]
        for attributes in page.attributes("meta")
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"


def test_it_tells_nothing_of_whose_machine_it_is(page):
    assert "air flow" not in page.source  # of the checkout's path
    for fact in page.facts().values():
        assert os.uname().nodename not in fact.split()


def test_it_is_made_for_phones_screen_readers_and_either_colour_scheme(page):
    assert page.source.startswith("<!doctype html>\n")
    assert page.attributes("html") == [{"lang": "en"}]
    assert len(page.text["title"][0]) > 10 and len(page.text["h1"]) == 1
    metas = {meta.get("name"): meta.get("content") for meta in page.attributes("meta")}
    assert metas["viewport"] == "width=device-width, initial-scale=1"
    assert metas["color-scheme"] == "light dark"
    assert "@media (prefers-color-scheme: dark)" in page.source
    for cell in page.attributes("th"):
        assert cell["scope"] in ("row", "col")
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for svg in page.svgs():
        assert svg.get("role") == "img"
        title, text = svg.get("aria-labelledby").split()
        assert svg.find("title").get("id") == title and svg.find("title").text
        assert svg.find("desc").get("id") == text and svg.find("desc").text
        # As wide as the screen: what is across is in percent, so text keeps its size.
        assert svg.get("viewBox") is None and svg.get("width") is None


def luminance(colour):
    """WCAG 2's relative luminance of a colour written #rrggbb."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(share * part for share, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_the_contrast_is_that_of_wcag_aa_in_both_schemes(page):
    schemes = re.findall(r":root \{(.*?)\}", page.source, re.DOTALL)
    assert len(schemes) == 2
    for scheme in schemes:
        colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", scheme))
        grounds = [luminance(colours[name]) for name in ("page", "mark")]
        for name in ("text", "quiet", "test", "train"):
            for ground in grounds:
                low, high = sorted([luminance(colours[name]), ground])
                assert (high + 0.05) / (low + 0.05) >= 4.5, (name, colours[name])


def assert_one_line_error(outcome, *fragments):
    assert outcome.returncode == 1, outcome
    assert len(outcome.stderr.splitlines()) == 1, outcome.stderr
    for fragment in ("make_report.py: ", *fragments):
        assert fragment in outcome.stderr


@pytest.mark.parametrize("name", ["results.csv", "auto-mpg.data"])
def test_what_is_missing_is_named_with_what_to_type_next(bare, golden, name):
    (golden / name).unlink()
    outcome = make_report(bare, golden)
    again = f"next: make backfill EDITION={bare.edition} DATE={DAY}"
    assert_one_line_error(outcome, f"{golden / name}: No such file or directory; {again}")
    assert not (golden / "report.html").exists()


def test_a_damaged_table_says_where_and_what_to_type_next(bare, golden):
    results = golden / "results.csv"
    results.write_text(results.read_text()[:400])
    again = f"next: make backfill EDITION={bare.edition} DATE={DAY}"
    assert_one_line_error(make_report(bare, golden), "is damaged: ", again)


@pytest.mark.parametrize(
    ("folder", "reason"),
    [
        ("results/9/2024-01-01", "is not of edition"),
        ("results", "is not results/EDITION/YYYY-MM-DD"),
        ("/", "is not results/EDITION/YYYY-MM-DD"),
    ],
)
def test_a_folder_that_is_not_of_this_edition_is_wrong_usage(bare, folder, reason):
    outcome = make_report(bare, folder)
    assert outcome.returncode == 2
    assert reason in outcome.stderr


def test_outside_the_sandbox_it_says_how_to_run_it(bare, golden):
    environment = {"PATH": os.environ["PATH"]}
    command = [bare.state / "env/bin/python", "pipeline/make_report.py", golden]
    outcome = subprocess.run(
        command, cwd=bare.path, env=environment, capture_output=True, text=True
    )
    assert outcome.returncode == 2
    assert "run it with: bin/sandbox python pipeline/make_report.py" in outcome.stderr


def test_a_page_that_cannot_be_written_whole_leaves_the_one_before(bare, golden):
    page_of(bare, golden)
    before = (golden / "report.html").read_bytes()
    files = sorted(golden.iterdir())

    def small_files_only():
        # The kernel refuses what a file would have beyond its first 4 kB, as on a full disk.
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    outcome = make_report(bare, golden, preexec_fn=small_files_only)
    assert_one_line_error(outcome, str(golden / "report.html"), "too large")
    assert (golden / "report.html").read_bytes() == before
    assert sorted(golden.iterdir()) == files
