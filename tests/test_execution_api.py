"""The API that the tasks of edition 3 report to: without a token of this checkout, only health.

A real backfill runs meanwhile, so it is the server that `make backfill` starts.
"""

import configparser
import http.client
import json
import os
import re
import signal
import time
import uuid
from contextlib import closing

import jwt
import pytest
from support.backfills import DAY, SECOND_TASK_RUNS
from support.checkouts import break_task, read_until
from support.guarantees import guarantee

pytestmark = pytest.mark.xdist_group(__name__)  # they share checkouts

# What Airflow's own application has to say about itself, as the server has it. Its routes come in
# versions, made when the first request arrives; the version is asked for with a header.
DESCRIBE = """
import json, sys
sys.argv = ["airflow", "api-server"]
from airflow.api_fastapi.app import create_app
from airflow.configuration import conf
from starlette.testclient import TestClient

app = create_app(apps="execution")
execution = next(route.app for route in app.routes if route.path == "/execution")
with TestClient(app) as client:
    client.get("/execution/health").raise_for_status()
tables = [("", "", app), ("", "/execution", execution)]
for version, router in execution.router.versioned_routers.items():
    tables.append((version, "/execution", router))
routes = [
    (version, method, prefix + route.path)
    for version, prefix, table in tables
    for route in table.routes
    for method in getattr(route, "methods", ())
]
print(json.dumps({"routes": routes, "audience": conf.get("execution_api", "jwt_audience")}))
"""

# What is answered without a token: health, and the API's description, which is the same for every
# Airflow of this version. No setting turns the latter off, but for /docs and /redoc.
PUBLIC = {
    "/execution/health",
    "/execution/health/ping",
    "/execution/openapi.json",
    "/execution/docs",
    "/execution/docs/oauth2-redirect",
    "/execution/redoc",
    "/execution/changelog",
    "/openapi.json",
}


class Api:
    """The execution API of a running backfill: where it is, its routes, the key of its tokens."""

    def __init__(self, checkout, port):
        described = checkout.run("bin/sandbox", "python", "-c", DESCRIBE)
        assert described.returncode == 0, described.stderr
        description = json.loads(described.stdout.splitlines()[-1])
        self.routes = description["routes"]
        self.newest = max(version for version, _, _ in self.routes)
        self.audience = description["audience"]
        self.port = port
        self.log = checkout.home / "logs/api-server.log"
        config = configparser.RawConfigParser()
        config.read(checkout.home / "airflow.cfg")
        self.key = config["api_auth"]["jwt_secret"]

    def ask(self, version, method, path, token=None):
        """Return the status that a request is answered with."""
        headers = {"Airflow-API-Version": version} if version else {}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request(method, re.sub(r"{\w+(:path)?}", "x", path), headers=headers)
            return connection.getresponse().status

    def token(self, key=None, algorithm="HS512", **claims):
        """Return a token for some task, good for a minute, but for what is said otherwise."""
        now = int(time.time())
        claims = {"aud": self.audience, "iat": now, "nbf": now, "exp": now + 60, **claims}
        key = self.key if key is None else key
        return jwt.encode({"sub": str(uuid.uuid4()), **claims}, key, algorithm)


@pytest.fixture(scope="module")
def api(new_checkout):
    checkout = new_checkout()
    break_task(checkout, "run_regression", "sleep 600")
    make = checkout.start("make", "backfill", f"DATE={DAY}")
    try:
        output = read_until(make, SECOND_TASK_RUNS)
        (port,) = re.findall(r"api-server .*--port (\d+)", output)
        yield Api(checkout, int(port))
    finally:
        os.killpg(make.pid, signal.SIGINT)
        make.communicate(timeout=60)


@guarantee(
    "What is open",
    "the backfill's API without a token, from any user of this machine",
    (
        "health, and the description of the API, which is the same for every Airflow of this "
        "version; all else is refused"
    ),
)
def test_without_a_token_only_health_and_the_description_answer(api):
    assert len(api.routes) > 50
    let_in = {tuple(route) for route in api.routes if api.ask(*route) not in (401, 403)}
    assert {path for _, _, path in let_in} == PUBLIC
    assert {method for _, method, _ in let_in} <= {"GET", "HEAD"}


WRONG = {
    "another key": lambda api: api.token(key="x" * 64),
    "no signature": lambda api: api.token(key="", algorithm="none"),
    "a weaker signature": lambda api: api.token(algorithm="HS256"),
    "expired": lambda api: api.token(iat=1, nbf=1, exp=int(time.time()) - 60),
    "no end": lambda api: api.token(exp=None),
    "for another API": lambda api: api.token(aud="apache-airflow"),
    "to begin a task with, no more": lambda api: api.token(scope="workload"),
}


@guarantee(
    "What is open",
    "anyone with a token that is forged, expired, unsigned or for another API",
    "nothing",
)
def test_a_wrong_token_is_refused_everywhere(api):
    routes = [route for route in api.routes if route[0] == api.newest and route[2] not in PUBLIC]
    let_in = []
    for wrong, make_token in WRONG.items():
        token = make_token(api)
        statuses = [(wrong, route, api.ask(*route, token)) for route in routes]
        let_in += [each for each in statuses if each[2] != 403]
    assert let_in == []
    # With a right one, they would not have failed: there is no such variable.
    path = "/execution/variables/{variable_key:path}"
    assert [api.newest, "GET", path] in routes
    assert api.ask(api.newest, "GET", path, api.token()) == 404
    # There is no other version (libexec/startup/airflow_local_settings.py), and in the server
    # itself, too, an older one is not refused, but not there.
    assert {version for version, *_ in api.routes} == {"", api.newest}
    assert [api.ask(version, "GET", path) for version in (api.newest, "2025-04-11")] == [401, 404]


@guarantee(
    "What is secret",
    "A request that was refused leaves no key and no token in the server's log.",
)
def test_what_was_refused_left_no_key_and_no_token_in_the_log(api):
    token = api.token(exp=1)
    assert api.ask(api.newest, "GET", "/execution/variables/x", token) == 403
    log = api.log.read_text()
    assert "Failed to validate JWT" in log  # so this is where one would be
    # Nothing that pytest would show: CI's output is public.
    assert [api.key in log, token in log] == [False, False]
