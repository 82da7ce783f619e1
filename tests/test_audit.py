"""libexec/audit, asking a server on this machine that answers as OSV does."""

import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader

import pytest
from support.checkouts import PROJECT
from support.guarantees import guarantee

LOCK = """\
# a lock as uv writes it
colorama==0.4.6 ; sys_platform == 'win32' \\
    --hash=sha256:08695f5cb7ed6e0531a20572697297273c47b8cae5a63ffc6d6ed5c201be6e44
    # via pytest
numpy==1.0 ; python_full_version < '3.1' \\
    --hash=sha256:08695f5cb7ed6e0531a20572697297273c47b8cae5a63ffc6d6ed5c201be6e44
numpy==2.0 ; python_full_version >= '3.1' \\
    --hash=sha256:08695f5cb7ed6e0531a20572697297273c47b8cae5a63ffc6d6ed5c201be6e44
"""
# An answer in OSV's schema, for a version that this machine's Python would never install.
VULNERABLE = ("numpy", "1.0")
ANSWER = {
    "vulns": [
        {
            "schema_version": "1.7.3",
            "id": "GHSA-aaaa-bbbb-cccc",
            "aliases": ["CVE-2026-12345"],
            "summary": "It adds up wrongly",
            "published": "2026-01-02T03:04:05Z",
            "affected": [
                {
                    "package": {"name": "numpy", "ecosystem": "PyPI"},
                    "ranges": [
                        {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.5"}]}
                    ],
                }
            ],
        }
    ]
}


class Osv(http.server.BaseHTTPRequestHandler):
    """Answers as OSV's /v1/query: what is in .server.vulnerable has a vulnerability, no more."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked = query["package"]["name"], query["version"]
        self.server.asked.add(asked)
        body = json.dumps(ANSWER if asked in self.server.vulnerable else {}).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body) + self.server.missing))
        self.end_headers()
        self.wfile.write(self.server.garbage or body)
        self.close_connection = bool(self.server.missing)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def osv():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Osv) as server:
        server.asked, server.vulnerable = set(), {VULNERABLE}
        server.status, server.garbage, server.missing = 200, b"", 0
        server.url = f"http://127.0.0.1:{server.server_port}/v1/query"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def lock(tmp_path):
    path = tmp_path / "requirements.txt"
    path.write_text(LOCK)
    path.with_name("known-vulnerabilities.txt").write_text("# none\n")
    return path


def audit(lock, url, script=PROJECT / "libexec/audit"):
    return subprocess.run(
        [sys.executable, script, lock],
        env={**os.environ, "OSV_URL": url},
        capture_output=True,
        text=True,
        timeout=300,
    )


@guarantee(
    "Known vulnerabilities",
    "A finding that is not listed fails.",
)
def test_a_finding_that_is_not_listed_fails_and_is_named(lock, osv):
    run = audit(lock, osv.url)
    assert run.returncode == 1, run.stderr
    assert "numpy 1.0 has CVE-2026-12345, also GHSA-aaaa-bbbb-cccc; fixed in: 1.5" in run.stderr
    assert "make lock" in run.stderr
    assert "3 packages, 1 findings that are not listed" in run.stdout


@guarantee(
    "Known vulnerabilities",
    "A finding that is listed is shown with its reason.",
)
@pytest.mark.parametrize("name", ["GHSA-aaaa-bbbb-cccc", "CVE-2026-12345"])
def test_a_listed_finding_passes_and_its_reason_is_shown(lock, osv, name):
    lock.with_name("known-vulnerabilities.txt").write_text(f"{name} nobody adds here\n")
    run = audit(lock, osv.url)
    assert (run.returncode, run.stderr) == (0, "")
    assert "numpy 1.0 has CVE-2026-12345, also GHSA-aaaa-bbbb-cccc: nobody adds here" in run.stdout
    assert "no longer" not in run.stdout


@guarantee(
    "Known vulnerabilities",
    "A listed finding that is gone is reported.",
)
def test_one_that_is_listed_but_no_longer_found_is_reported(lock, osv):
    lock.with_name("known-vulnerabilities.txt").write_text("CVE-2026-12345 a\nCVE-2020-1 b\n")
    run = audit(lock, osv.url)
    assert run.returncode == 0, run.stderr
    assert re.findall(r"(\S+) is no longer found", run.stdout) == ["CVE-2020-1"]


@guarantee(
    "Known vulnerabilities",
    "Every version in the lock is asked about, for whatever system it is.",
)
def test_every_version_in_the_lock_is_looked_up(osv):
    lock = PROJECT / "editions/3/requirements.txt"
    osv.vulnerable = set()
    run = audit(lock, osv.url)
    assert run.returncode == 0, run.stderr
    in_lock = re.findall(r"^([\w.-]+)==([\w.+!-]+)", lock.read_text(), re.MULTILINE)
    assert osv.asked == set(in_lock)
    assert len({name for name, _ in in_lock}) < len(osv.asked)  # some have several versions


@guarantee(
    "Known vulnerabilities",
    "A database that does not answer is no finding: exit code 3 instead of 1.",
)
@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500},
        {"status": 404},
        {"garbage": b"<html>a portal's login</html>"},
        {"missing": 9},
    ],
    ids=str,
)
def test_an_unusable_answer_is_no_finding(lock, osv, fault):
    for name, value in fault.items():
        setattr(osv, name, value)
    run = audit(lock, osv.url)
    assert run.returncode == 3
    assert run.stderr.startswith(f"audit: could not audit {lock}: {osv.url}: ")
    assert run.stderr.count("\n") == 1
    assert run.stdout == ""


def test_a_server_that_is_not_there_is_no_finding(lock):
    run = audit(lock, "http://127.0.0.1:1/v1/query")
    assert run.returncode == 3
    assert "Connection refused" in run.stderr
    assert run.stderr.count("\n") == 1


def test_without_pip_audit_it_names_the_command_that_installs_it(lock, tmp_path):
    (tmp_path / "bin").mkdir()
    script = shutil.copy(PROJECT / "libexec/audit", tmp_path / "bin")
    run = audit(lock, "http://127.0.0.1:1/v1/query", script)
    assert run.returncode == 3
    assert "make tools" in run.stderr


@pytest.mark.parametrize(
    "line", ["numpy>=2", "numpy @ https://example.org/numpy.whl", "-r more.txt"]
)
def test_a_lock_with_something_else_than_exact_versions_is_refused(lock, line):
    lock.write_text(LOCK + line + "\n")
    run = audit(lock, "http://127.0.0.1:1/v1/query")
    assert run.returncode == 2
    assert f"no exact version in: {line}" in run.stderr


def test_a_list_without_a_reason_is_refused(lock):
    lock.with_name("known-vulnerabilities.txt").write_text("# none\nCVE-2026-12345\n")
    run = audit(lock, "http://127.0.0.1:1/v1/query")
    assert run.returncode == 2
    assert "known-vulnerabilities.txt:2: no reason" in run.stderr


def test_what_ci_audits_can_be_read():
    loader = SourceFileLoader("audit", str(PROJECT / "libexec/audit"))  # a command has no suffix
    audit = module_from_spec(spec_from_loader("audit", loader))
    loader.exec_module(audit)
    workflow = (PROJECT / ".github/workflows/ci.yml").read_text()
    locks = re.findall(r"libexec/audit (\S+)", workflow)
    assert locks == ["editions/3/requirements.txt", "editions/3/scale.txt", "tests/tools.txt"]
    for lock in locks:
        assert audit.pins(PROJECT / lock)
        audit.listed((PROJECT / lock).with_name("known-vulnerabilities.txt"))
