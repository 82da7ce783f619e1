"""Airflow's web pages in a real browser: to log in, and to find there what `make all` has run.

`make screenshots` has these tests renew the pictures of the README as they go.
"""

import io
import sys
from datetime import datetime, timezone
from pathlib import Path

import pytest
from support.checkouts import PROJECT
from support.pages import READY, Served, find_browser, password_of

pytestmark = pytest.mark.xdist_group(__name__)  # they share checkouts

PATIENCE = 90  # seconds that a page gets to show something; one or two on an idle machine
# A browser that makes no request but ours, and no guess at what we might want.
FLAGS = """
    --headless=new --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync --disable-dev-shm-usage --hide-scrollbars
    --no-sandbox --force-device-scale-factor=1 --lang=en
"""
WINDOW = (1200, 780)
TALL_WINDOW = (1200, 960)  # of a log, a page shows only what there is room for
# What stands in a picture where the path of the tests' checkout is on the page.
HOME = "~/airflow-sandbox"
REPLACE = """
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode())
        texts.currentNode.data = texts.currentNode.data.replaceAll(arguments[0], arguments[1]);
"""


class Browser:
    """A browser, and what somebody does who sits before it."""

    def __init__(self, served, profile, pictures):
        # The tools are beside the environment; what both have is the environment's.
        sys.path += map(str, PROJECT.glob(".sandbox/3/tools/lib/python3*/site-packages"))
        webdriver = pytest.importorskip("selenium.webdriver")
        options = webdriver.ChromeOptions()
        options.binary_location, driver = find_browser()
        for flag in [*FLAGS.split(), f"--user-data-dir={profile}"]:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "SEVERE"})
        service = webdriver.ChromeService(executable_path=driver)
        self.driver = webdriver.Chrome(options=options, service=service)
        self.driver.set_page_load_timeout(PATIENCE)
        self.driver.set_window_size(*WINDOW)
        self.address, self.checkout = f"http://127.0.0.1:{served.port}", served.checkout.path
        self.pictures = pictures

    def go(self, path):
        self.driver.get(self.address + path)

    def find(self, selector):
        """Return the elements that a CSS selector finds, as soon as there are any."""
        self.wait(lambda: self.driver.find_elements("css selector", selector), selector)
        return self.driver.find_elements("css selector", selector)

    def click(self, selector):
        self.find(selector)[0].click()

    def text(self):
        """Return what can be read on the page."""
        return self.driver.execute_script("return document.body.innerText")

    def see(self, *texts):
        """Wait until each of the texts can be read on the page."""
        self.wait(lambda: all(text in self.text() for text in texts), texts)

    def wait(self, condition, what):
        from selenium.common.exceptions import TimeoutException
        from selenium.webdriver.support.ui import WebDriverWait

        try:
            WebDriverWait(self.driver, PATIENCE).until(lambda _: condition())
        except TimeoutException:
            raise AssertionError(f"{what!r} is not on the page:\n{self.text()}") from None

    def take_picture(self, name):
        """Save what can be seen as a small PNG, if pictures were asked for."""
        if self.pictures:
            from PIL import Image

            for path in self.checkout, PROJECT:  # whose environment it uses
                self.driver.execute_script(REPLACE, str(path), HOME)
            picture = Image.open(io.BytesIO(self.driver.get_screenshot_as_png())).convert("RGB")
            file = Path(self.pictures, f"{name}.png")
            picture = picture.quantize(method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
            picture.save(file, optimize=True)


@pytest.fixture(scope="module")
def served(new_checkout):
    """make ui, beside which the backfill of today has run."""
    find_browser()
    served = Served(new_checkout(), READY)
    outcome = served.checkout.make("backfill")
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    yield served
    served.stop()


@pytest.fixture(scope="module")
def browser(served, tmp_path_factory, pytestconfig):
    pictures = pytestconfig.getoption("--screenshots")
    profile = tmp_path_factory.mktemp("browser")
    browser = Browser(served, profile, pictures)
    yield browser
    browser.driver.quit()


def log_in(browser, password):
    for name, value in ("username", "admin"), ("password", password):
        (field,) = browser.find(f"input[name={name}]")
        field.clear()
        field.send_keys(value)
    browser.click("button[type=submit]")


def test_a_wrong_password_is_refused_and_the_right_one_leads_in(served, browser):
    browser.go("/")
    log_in(browser, "wrong")
    browser.see("Invalid credentials")
    browser.go("/")
    log_in(browser, password_of(served))
    browser.see("Welcome", "Dag Processor")
    browser.driver.get_log("browser")  # so far there were refusals, as there should be


def test_dag_test_is_listed_and_its_last_run_is_green(browser):
    browser.go("/dags")
    browser.see("dag_test", "1 Dag", f"{datetime.now(timezone.utc):%Y-%m-%d}")
    browser.find("[data-testid=state-badge], a[href*='/dags/dag_test/runs/']")


def run_of_today():
    return f"/dags/dag_test/runs/backfill__{datetime.now(timezone.utc):%Y-%m-%d}T00:00:00+00:00"


def test_the_graph_has_the_three_tasks_in_a_row_and_each_is_green(browser):
    browser.go(run_of_today())
    browser.click("button[aria-label^='Show Graph']")
    browser.wait(lambda: len(browser.find(".react-flow__node")) == 3, "three tasks")
    nodes = {node.get_attribute("data-id"): node.text for node in browser.find(".react-flow__node")}
    assert set(nodes) == {"get_data", "run_regression", "print_results"}
    assert all("success" in text for text in nodes.values()), nodes
    edges = [edge.get_attribute("data-id") for edge in browser.find(".react-flow__edge")]
    assert edges == ["get_data-run_regression", "run_regression-print_results"]
    browser.take_picture("ui-graph")
    browser.click("button[aria-label^='Show Grid']")


def test_the_run_of_today_is_green(browser):
    browser.go(run_of_today())
    browser.see("3 Task Instances", "Backfill", "Triggering User")
    assert browser.text().count("Success") == 4  # the run's, and one for each task
    assert "Failed" not in browser.text()


def test_the_log_of_print_results_shows_the_table(served, browser):
    browser.driver.set_window_size(*TALL_WINDOW)
    browser.go(run_of_today() + "/tasks/print_results")
    file = served.checkout.path / f"results/3/{datetime.now(timezone.utc):%Y-%m-%d}"
    table = served.checkout.run("bin/sandbox", "python", "pipeline/print_results.py", file).stdout
    lines = [line for line in table.splitlines() if "█" in line]
    assert len(lines) == 11
    browser.see("model  adds", *lines, "◀ best")
    browser.take_picture("ui-log")


def test_the_browser_had_nothing_to_complain_of(browser):
    assert browser.driver.get_log("browser") == []
