"""The audit of CI's workflow, asking a server on this machine that answers as OSV does."""

import http.server
import json
import re
import shutil
import subprocess
import threading

import pytest
import yaml
from support.checkouts import PROJECT
from support.guarantees import guarantee
from support.wheels import TOOLS_PYTHON

LOCKS = ["editions/3/requirements.txt", "editions/3/scale.txt", "tests/tools.txt"]
KNOWN = "editions/3/known-vulnerabilities.txt"
# An answer in OSV's schema, for a version that this machine would never install.
VULNERABLE = ("colorama", "0.4.6")
ANSWER = {
    "vulns": [
        {
            "schema_version": "1.7.3",
            "id": "GHSA-aaaa-bbbb-cccc",
            "aliases": ["CVE-2026-12345"],
            "published": "2026-01-02T03:04:05Z",
            "affected": [{"package": {"name": VULNERABLE[0], "ecosystem": "PyPI"}}],
        }
    ]
}


class Osv(http.server.BaseHTTPRequestHandler):
    """Answers as OSV's /v1/query: VULNERABLE has a vulnerability, nothing else has one."""

    def do_POST(self):
        query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked = query["package"]["name"], query["version"]
        self.server.asked.add(asked)
        body = json.dumps(ANSWER if asked == VULNERABLE else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def osv():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Osv) as server:
        server.asked = set()
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def checkout(tmp_path):
    """The files that the audit reads."""
    for name in (*LOCKS, KNOWN):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / name, tmp_path / name)
    (tmp_path / ".sandbox").mkdir()
    return tmp_path


def audit(checkout, osv):
    """Run the workflow's last step in the checkout, as GitHub would."""
    workflow = yaml.safe_load((PROJECT / ".github/workflows/ci.yml").read_text())
    script = workflow["jobs"]["audit"]["steps"][-1]["run"]
    url = f"http://127.0.0.1:{osv.server_port}/v1/query"
    assert "https://api.osv.dev/v1/query" in script
    script = script.replace("https://api.osv.dev/v1/query", url)
    script = script.replace(".sandbox/3/tools/bin/python", str(TOOLS_PYTHON))
    script = script.replace("pip_audit ", "pip_audit --cache-dir .sandbox/pip-audit ")
    command = ["bash", "-eo", "pipefail", "-c", script]
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True, timeout=300)


@guarantee(
    "Known vulnerabilities",
    "Every version in the locks is looked up, for whatever system it is; one that is known fails.",
)
def test_every_version_is_looked_up_and_a_finding_fails(checkout, osv):
    run = audit(checkout, osv)
    assert run.returncode == 1, run.stderr
    assert re.search(r"colorama +0\.4\.6 +(GHSA-aaaa-bbbb-cccc|CVE-2026-12345)", run.stdout)
    locks = "".join((PROJECT / lock).read_text() for lock in LOCKS)
    in_locks = set(re.findall(r"^([\w.-]+)==([\w.+!-]+)", locks, re.MULTILINE))
    assert osv.asked == in_locks
    assert len({name for name, _ in in_locks}) < len(in_locks)  # some have several versions


@guarantee(
    "Known vulnerabilities",
    "A finding that is listed passes; the list has the reason.",
)
def test_a_finding_that_is_listed_passes(checkout, osv):
    known = checkout / KNOWN
    lines = [line for line in known.read_text().splitlines() if not line.startswith("#")]
    assert [line for line in lines if not re.match(r"[A-Z][\w-]+ +\S", line)] == []
    with known.open("a") as file:
        file.write("CVE-2026-12345 nobody runs this on Windows\n")
    run = audit(checkout, osv)
    assert run.returncode == 0, run.stderr
    assert "1 ignored" in run.stderr
