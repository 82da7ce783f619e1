"""`make ui` of Airflow 2 and 1.10; what is the kit's own of it is in test_ui.py."""

import http.cookiejar
import re
import urllib.error
import urllib.parse
import urllib.request

import pytest
from support.guarantees import guarantee
from support.lines import all_succeeded, progress
from support.pages import HOST, READY, Served, alive, nothing_is_left, password_of

pytestmark = pytest.mark.xdist_group(__name__)  # they share checkouts


@pytest.fixture(scope="module")
def served(new_checkout):
    served = Served(new_checkout(), READY)
    yield served
    served.stop()


class Visitor:
    """Somebody with a jar for cookies."""

    def __init__(self, served):
        self.address = f"http://{HOST}:{served.port}"
        jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), jar)

    def open(self, path, **form):
        """Return (status, address where it led, text) of a page, to which a form is sent."""
        data = urllib.parse.urlencode(form).encode() if form else None
        try:
            answer = self.opener.open(self.address + path, data, timeout=60)
        except urllib.error.HTTPError as error:
            answer = error
        return answer.status, answer.url, answer.read().decode()

    def log_in(self, password):
        """Send the form of the login; return the address where that led."""
        _, _, page = self.open("/login/")
        token = re.search(r'name="csrf_token"[^>]* value="([^"]+)"', page)[1]
        return self.open("/login/", csrf_token=token, username="admin", password=password)[1]


@guarantee(
    "What is open",
    "anyone without a login (editions 2 and 1.10)",
    "health, and the page of the login",
)
def test_without_a_login_there_is_only_the_login_and_the_health(served):
    visitor = Visitor(served)
    assert visitor.open("/health")[0] == 200
    for path in "/", "/home", "/tree?dag_id=dag_test", "/users/list/", "/configuration":
        assert "/login/" in visitor.open(path)[1], path
    for path in (
        "/api/v1/dags",
        "/api/experimental/test",
        "/api/experimental/dags/dag_test/dag_runs",
    ):
        assert visitor.open(path)[0] in (401, 403, 404), path


@guarantee(
    "What is secret",
    "The password for `make ui` is printed on a terminal alone, and is in no log.",
)
def test_only_the_password_of_the_file_logs_in_and_dag_test_is_listed(served):
    file = served.checkout.home / "login.json"
    assert file.stat().st_mode & 0o777 == 0o600
    password = password_of(served)
    assert password not in served.output
    visitor = Visitor(served)
    assert "/login/" in visitor.log_in("admin")
    assert "/login/" not in visitor.log_in(password)
    status, _, page = visitor.open("/home")
    assert (status, "dag_test" in page) == (200, True)


@guarantee(
    "What is open",
    "`make ui`, editions 2 and 1.10",
    "the Airflow UI (that of 1.10 is the one that asks for a login), at 127.0.0.1",
)
def test_every_socket_listens_on_loopback_alone(served):
    found = served.listening()
    assert (HOST, served.port) in found
    assert {address.ip for address in found} == {HOST}


def test_a_backfill_runs_beside_it_and_can_be_seen_there(served):
    outcome = served.checkout.run("bash", "-c", "make backfill 2>&1")
    assert outcome.returncode == 0, outcome.stdout
    assert progress(outcome.stdout)[-1] == all_succeeded()
    visitor = Visitor(served)
    visitor.log_in(password_of(served))
    _, _, page = visitor.open("/dagrun/list/?_flt_3_dag_id=dag_test")
    assert re.search(r"backfill_\S+", page)
    assert "success" in page


@guarantee(
    "The Airflow UI",
    "`make stop`",
    "all servers end within seconds, port and files are given back",
)
def test_make_stop_ends_it_and_leaves_nothing_and_the_login_stays_the_same(served):
    processes, password = served.processes(), password_of(served)
    assert served.checkout.make("stop").returncode == 0
    assert alive(processes) == []
    output, _ = served.make.communicate(timeout=30)
    assert "all servers have been ended" in output
    nothing_is_left(served, processes)
    again = Served(served.checkout, READY)
    try:
        assert "new-user" not in again.output.partition("libexec/ui")[2].partition("\n")[2]
        assert "/login/" not in Visitor(again).log_in(password)
    finally:
        again.stop()
