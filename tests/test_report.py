"""The report: the page says what is in the files and in Airflow, and needs nothing else.

These tests hold for every edition: pytest --edition 2 tests/test_report.py
"""

import base64
import csv
import hashlib
import json
import os
import re
import shutil
import sqlite3
from datetime import datetime
from html.parser import HTMLParser

import pytest
from support.lines import GOLDEN, results_of

DAY = "2024-01-01"
VOID = {"meta", "img"}


class Page(HTMLParser):
    """A page, parsed: tags [(name, attributes)], tables {class: rows, each a list of texts}.

    Tags that are not closed, or not in the order they were opened, fail an assertion.
    """

    def __init__(self, source):
        super().__init__()
        self.source, self.tags, self.tables, self.open = source, [], {}, []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, name, attributes):
        self.tags.append((name, dict(attributes)))
        if name not in VOID:
            self.open.append(name)
        if name == "table":
            self.rows = self.tables[dict(attributes)["class"]] = []
        elif name == "tr":
            self.rows.append([])
        elif name in ("th", "td"):
            self.rows[-1].append("")

    def handle_endtag(self, name):
        assert self.open.pop() == name

    def handle_data(self, data):
        if "td" in self.open or "th" in self.open:
            self.rows[-1][-1] += data

    def attributes(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]

    def bars(self):
        """The bars of the tasks: [(class, left, width)], the numbers in percent."""
        numbers = re.compile(r"margin-left: ([\d.]+)%; width: ([\d.]+)%")
        return [
            (bar["class"], *map(float, numbers.fullmatch(bar["style"]).groups()))
            for bar in self.attributes("div")
        ]


def make_report(checkout, folder):
    return checkout.run("bin/sandbox", "python", "pipeline/make_report.py", folder)


def page_of(checkout, folder):
    """Make the report of a folder and return it as a Page."""
    outcome = make_report(checkout, folder.relative_to(checkout.path))
    assert (outcome.returncode, outcome.stderr) == (0, "")
    report = folder / "report.html"
    assert outcome.stdout == f"Report: {report.relative_to(checkout.path)}\n"
    return Page(report.read_text(encoding="utf-8"))


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


def test_it_has_the_numbers_and_the_picture_of_the_results(finished, ran):
    with open(GOLDEN, newline="") as file:
        expected = list(csv.DictReader(file))
    for (number, term, train, test), row in zip(ran.tables["models"][1:], expected, strict=True):
        assert [number, train, test] == [row["model"], row["train_mse"], row["test_mse"]]
        assert row["formula"].endswith(term.replace(" ◀ best", ""))
        assert ("best" in term) == (number == "7")
    assert ran.source.count('class="best"') == 1
    (picture,) = ran.attributes("img")
    kind, _, content = picture["src"].partition(",")
    assert kind == "data:image/png;base64" and len(picture["alt"]) > 10
    drawn = (results_of(finished) / "bias_variance.png").read_bytes()
    assert base64.b64decode(content) == drawn


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
    run_id = dict(ran.tables["facts"])["DAG run"].partition(",")[0]
    command = ["airflow", "tasks", "states-for-dag-run", "dag_test", run_id, "-o", "json"]
    if finished.edition == "1.10":  # which has no such command
        command = ["python", "-c", ASK_MODELS, run_id]
    printed = finished.run("bin/sandbox", *command).stdout
    times = {
        task["task_id"]: [datetime.fromisoformat(task[when]) for when in ("start_date", "end_date")]
        for task in json.loads(printed[printed.index("[{") :])
    }
    began = min(start for start, _ in times.values())
    whole = (max(end for _, end in times.values()) - began).total_seconds()
    rows = ran.tables["tasks"][1:]
    assert [row[0] for row in rows] == ["get_data", "run_regression", "print_results"]
    for (name, *shown, _), (kind, left, width) in zip(rows, ran.bars(), strict=True):
        start, end = times[name]
        first, took = (start - began).total_seconds(), (end - start).total_seconds()
        assert (kind, *shown) == ("bar", "success", f"{first:.2f}", f"{took:.2f}")
        assert left / 100 * whole == pytest.approx(first, abs=0.01)
        assert width / 100 * whole == pytest.approx(took, abs=0.01)


def test_it_says_what_was_run_the_same_each_time(finished, ran):
    modules = ["formulaic", "matplotlib", "numpy", "pandas", "sklearn", "airflow"]
    ask = f"import platform, {', '.join(modules)}; print(platform.python_version(), " + ", ".join(
        f"{module}.__version__" for module in modules
    )
    names = ["Python", *modules[:-2], "scikit-learn", "apache-airflow"]
    versions = finished.run("bin/sandbox", "python", "-c", ask + ")").stdout.split()
    folder = results_of(finished)
    facts = dict(ran.tables["facts"])
    assert facts.items() >= dict(zip(names, versions, strict=True)).items()
    assert (facts["Edition"], facts["Logical date"]) == (finished.edition, folder.name)
    assert re.fullmatch(rf"backfill_\S*{folder.name}\S*, success", facts["DAG run"])
    assert facts["Data"] == "auto-mpg.data, 30286 bytes, the published file"
    sha256 = hashlib.sha256((folder / "auto-mpg.data").read_bytes()).hexdigest()
    assert facts["Its SHA-256"] == sha256
    assert f"make all DATE={folder.name}" in facts["Command"]
    assert ("EDITION=" in facts["Command"]) == (finished.edition != "3")
    assert page_of(finished, folder).source == ran.source
    assert len(ran.source.encode()) < 150_000


def test_a_task_that_did_not_succeed_is_shown_as_such(twin):
    for change, bars, said in (
        ("state = 'failed'", ["bar", "bar", "bar bad"], "failed"),
        ("state = 'running', end_date = NULL", ["bar", "bar"], "running"),
        ("state = NULL, start_date = NULL", ["bar", "bar"], "did not run"),
    ):
        database = sqlite3.connect(twin.home / "airflow.db")
        with database:
            database.execute(f"UPDATE task_instance SET {change} WHERE task_id = 'print_results'")
        database.close()
        page = page_of(twin, results_of(twin))
        assert [kind for kind, _, _ in page.bars()] == bars
        assert page.tables["tasks"][-1][1] == said


def test_without_the_run_of_these_results_it_names_what_to_type_next(twin):
    def assert_refused(*fragments):
        outcome = make_report(twin, folder.relative_to(twin.path))
        assert outcome.returncode == 1 and len(outcome.stderr.splitlines()) == 1, outcome
        again = rf"; next: make backfill DATE={folder.name}( EDITION=\S+)?\n$"
        assert re.match("make_report.py: ", outcome.stderr) and re.search(again, outcome.stderr)
        assert all(fragment in outcome.stderr for fragment in fragments), outcome.stderr
        assert not (folder / "report.html").exists()

    folder = results_of(twin)
    for name in "report.html", "bias_variance.png", "auto-mpg.data", "results.csv":
        content = (folder / name).read_bytes() if (folder / name).exists() else b""
        (folder / name).unlink(missing_ok=True)
        if name != "report.html":
            assert_refused(name, "No such file or directory")
            (folder / name).write_bytes(content)
    # The file is as it was, but its time is no longer that of the run.
    os.utime(folder / "results.csv", (0, 0))
    assert_refused("no DAG run that wrote these results")
    (folder / "results.csv").write_bytes(content[:400])
    assert_refused("results.csv is damaged: ")
    (folder / "results.csv").write_bytes(content)
    folder = folder.rename(results_of(twin, DAY))
    assert_refused("no DAG run that wrote these results")
    for file in twin.home.glob("airflow.db*"):
        file.unlink()
    assert_refused("there is no metadata database")
    (twin.home / "airflow.db").write_text("This is no database. " * 100)
    assert_refused("airflow.db: file is not a database")


def test_whatever_is_put_in_is_text_and_it_loads_and_runs_nothing(twin):
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
    with (folder / "auto-mpg.data").open("a") as data:
        data.write("\n")
    page = page_of(twin, folder)
    assert page.tables["models"][-1][1] == evil
    assert (
        dict(page.tables["facts"])["Data"] == "auto-mpg.data, 30287 bytes, NOT the published file"
    )
    allowed = (
        "html head meta title style body h1 h2 p code img table caption thead tbody tr th td div"
    )
    assert {name for name, _ in page.tags} == set(allowed.split())
    assert len(page.attributes("img")) == 1
    for name, attributes in page.tags:
        assert not {"srcset", "href", "xlink:href", "data", "action"} & attributes.keys()
        assert attributes.get("src", "data:").startswith("data:")
        assert not any(attribute.startswith("on") for attribute in attributes), name
    assert "url(" not in page.source and "@import" not in page.source
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in page.source


def test_it_is_made_for_phones_screen_readers_and_either_colour_scheme(ran):
    assert ran.source.startswith("<!doctype html>\n")
    assert ran.attributes("html") == [{"lang": "en"}]
    metas = {meta.get("name"): meta.get("content") for meta in ran.attributes("meta")}
    assert metas["viewport"] == "width=device-width, initial-scale=1"
    assert metas["color-scheme"] == "light dark"
    assert all(cell["scope"] in ("row", "col") for cell in ran.attributes("th"))
    assert "air flow" not in ran.source  # of the checkout's path
    assert os.uname().nodename not in re.findall(r"[\w.-]+", str(ran.tables["facts"]))
