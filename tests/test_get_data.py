"""bin/get_data.py against a real web server on the loopback interface, well and badly behaved."""

import contextlib
import hashlib
import http.server
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import ClassVar

import pytest

PROJECT = Path(__file__).resolve().parent.parent
DATA = (PROJECT / "data" / "auto-mpg.data").read_bytes()
SHA256 = "48b830e11feee5572525f8f1691ddb9d38d3d7b7063edcd8fca672c2a5e17d8d"


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers each path in its own way; remembers the User-Agent and what the endless one sent."""

    agents: ClassVar = []
    endless_bytes = 0

    def do_GET(self):
        self.agents.append(self.headers["User-Agent"])
        with contextlib.suppress(OSError):  # when the client hangs up, as it should
            getattr(self, "get_" + self.path.strip("/"))()

    def answer(self, body, status=200, length=None, **headers):
        self.send_response(status)
        if length != 0:
            self.send_header("Content-Length", str(length or len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def get_right(self):
        self.answer(DATA)

    def get_missing(self):
        self.answer(b"gone", status=404)

    def get_broken(self):
        self.answer(b"oops", status=500)

    def get_moved(self):
        self.answer(b"", status=302, Location="/right")

    def get_loop(self):
        self.answer(b"", status=302, Location="/loop")

    def get_tofile(self):
        self.answer(b"", status=302, Location=(PROJECT / "data/auto-mpg.data").as_uri())

    def get_toftp(self):
        self.answer(b"", status=302, Location="ftp://127.0.0.1:9/auto-mpg.data")

    def get_truncated(self):
        self.answer(DATA[:20000], length=len(DATA))

    def get_altered(self):
        self.answer(DATA[:-2] + b"!\n")

    def get_longer(self):
        self.answer(DATA + b"!")

    def get_page(self):
        self.answer(b"<html><body>Please log in to this network</body></html>")

    def get_drip(self):
        self.answer(b"", length=len(DATA))
        for byte in range(len(DATA)):  # each byte well within any socket timeout
            self.wfile.write(DATA[byte : byte + 1])
            time.sleep(0.05)

    def get_slowheaders(self):
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        for number in range(90):
            self.wfile.write(b"X-%d: y\r\n" % number)
            time.sleep(0.05)

    def get_endless(self):
        self.answer(b"", length=0)
        while True:
            self.wfile.write(DATA)
            Handler.endless_bytes += len(DATA)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        httpd.daemon_threads = True
        httpd.block_on_close = False
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        thread.join()


def get_data(url, dest, *options, project=PROJECT, **environment):
    direct = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    return subprocess.run(
        [sys.executable, project / "bin" / "get_data.py", dest, *options],
        env={**direct, "DATA_URL": url, **environment},
        capture_output=True,
        text=True,
        timeout=30,
    )


def assert_published_file_alone(dest):
    assert hashlib.sha256(dest.read_bytes()).hexdigest() == SHA256
    assert os.listdir(str(dest.parent)) == [dest.name]


def assert_fell_back(run, url, dest, why):
    assert (run.returncode, run.stderr) == (0, ""), run
    said, done = run.stdout.splitlines()
    assert url in said and why in said and "embedded copy" in said
    assert done == f"30286 bytes from data/auto-mpg.data to {dest}"
    assert_published_file_alone(dest)


@pytest.fixture
def dest(tmp_path):
    return tmp_path / "new folder" / "auto-mpg.data"


def test_the_embedded_copy_is_the_published_file():
    assert (len(DATA), hashlib.sha256(DATA).hexdigest()) == (30286, SHA256)


@pytest.mark.parametrize("path", ["/right", "/moved"])
def test_the_right_file_is_downloaded_in_one_line(server, dest, path):
    run = get_data(server + path, dest)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == f"30286 bytes from {server}{path} to {dest}\n"
    assert_published_file_alone(dest)


def test_an_older_file_is_replaced(server, dest):
    dest.parent.mkdir()
    dest.write_text("old")
    assert get_data(server + "/right", dest).returncode == 0
    assert_published_file_alone(dest)
    assert dest.stat().st_mode & 0o444 == 0o444  # readable like any other file


def test_it_says_who_is_asking(server, dest):
    get_data(server + "/right", dest)
    assert Handler.agents[-1].startswith("airflow-sandbox")


def test_the_usual_proxy_variables_are_obeyed(server, dest):
    run = get_data("http://no-such-host.invalid/right", dest, http_proxy=server)
    # The proxy is asked for the whole URL, which this server takes for an unknown path.
    assert "no-such-host.invalid" in run.stdout and "not known" not in run.stdout
    assert_published_file_alone(dest)


@pytest.mark.parametrize(
    "path, why",
    [
        ("/missing", "404"),
        ("/broken", "500"),
        ("/loop", "infinite loop"),
        ("/tofile", "file"),
        ("/toftp", "unknown url type: ftp"),
        ("/truncated", "20000 bytes"),
        ("/altered", "SHA-256"),
        ("/longer", "longer than"),
        ("/endless", "longer than"),
        ("/page", "instead of 30286"),
    ],
)
def test_a_bad_answer_is_told_in_one_line_and_the_embedded_copy_used(server, dest, path, why):
    assert_fell_back(get_data(server + path, dest), server + path, dest, why)


def test_an_endless_answer_is_not_read_to_the_end(server, dest):
    Handler.endless_bytes = 0
    start = time.monotonic()
    get_data(server + "/endless", dest)
    assert time.monotonic() - start < 5
    assert Handler.endless_bytes < 50e6  # what the two sockets' buffers took, no more


@pytest.mark.parametrize("path", ["/drip", "/slowheaders"])
def test_a_slow_drip_does_not_extend_the_deadline(server, dest, path):
    start = time.monotonic()
    run = get_data(server + path, dest, "--timeout", "0.7")
    assert time.monotonic() - start < 3
    assert_fell_back(run, server + path, dest, "not there after 0.7 seconds")


def test_a_server_that_never_answers_is_given_up_on(dest):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(1)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        start = time.monotonic()
        run = get_data(url, dest, "--timeout", "0.5")
        assert time.monotonic() - start < 3
    assert run.returncode == 0 and "embedded copy" in run.stdout
    assert_published_file_alone(dest)


def test_a_refused_connection_falls_back(dest):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, not listening: nobody else can take the port
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/"
        assert_fell_back(get_data(url, dest), url, dest, "refused")


def test_a_host_that_does_not_exist_falls_back(dest):
    url = "http://no-such-host.invalid/auto-mpg.data"
    run = get_data(url, dest, "--timeout", "3")
    assert_fell_back(run, url, dest, "")


def test_a_server_that_does_not_speak_tls_falls_back(server, dest):
    url = server.replace("http:", "https:") + "/right"
    assert_fell_back(get_data(url, dest), url, dest, "SSL")


@pytest.mark.parametrize(
    "url, why",
    [
        ((PROJECT / "data/auto-mpg.data").as_uri(), "not an http or https URL"),
        ("ftp://127.0.0.1/auto-mpg.data", "not an http or https URL"),
        ("auto-mpg.data", "not an http or https URL"),
        ("http://", "no host"),
        ("http://[::1", "Invalid"),
        ("http://127.0.0.1:port/", "port"),
        ("http://two words/", "characters"),
    ],
)
def test_a_bad_url_falls_back(dest, url, why):
    assert_fell_back(get_data(url, dest), url, dest, why)


@pytest.fixture
def damaged(tmp_path):
    """A copy of the project's two folders in which the embedded file is damaged."""
    copy = tmp_path / "copy"
    for folder in ("bin", "data"):
        shutil.copytree(str(PROJECT / folder), str(copy / folder))
    (copy / "data" / "auto-mpg.data").write_bytes(DATA[:-2] + b"!\n")
    return copy


def test_a_damaged_embedded_copy_is_an_error_that_says_how_to_restore_it(server, dest, damaged):
    run = get_data(server + "/missing", dest, project=damaged)
    assert run.returncode == 1
    assert "404" in run.stdout and "damaged" in run.stderr
    assert run.stderr.endswith("git checkout data/auto-mpg.data\n")
    assert not dest.exists()


def test_a_missing_embedded_copy_is_the_same_error(server, dest, damaged):
    (damaged / "data" / "auto-mpg.data").unlink()
    run = get_data(server + "/missing", dest, project=damaged)
    assert run.returncode == 1
    assert "No such file" in run.stderr and "git checkout" in run.stderr


def test_a_good_download_needs_no_embedded_copy(server, dest, damaged):
    assert get_data(server + "/right", dest, project=damaged).returncode == 0
    assert_published_file_alone(dest)


def test_a_failure_leaves_the_older_file_as_it_was(server, dest, damaged):
    dest.parent.mkdir()
    dest.write_text("old")
    assert get_data(server + "/missing", dest, project=damaged).returncode == 1
    assert dest.read_text() == "old"
    assert os.listdir(str(dest.parent)) == [dest.name]


def test_a_destination_that_cannot_be_written_is_one_line_and_nothing_left(server, tmp_path):
    run = get_data(server + "/right", tmp_path)  # a folder, where a file should go
    assert run.returncode == 1
    assert len(run.stderr.splitlines()) == 1 and str(tmp_path) in run.stderr
    assert not [p for p in tmp_path.parent.iterdir() if p.name.startswith(".auto-mpg")]


@pytest.mark.parametrize("options", [["--timeout", "0"], ["--timeout", "soon"], ["--nope"]])
def test_wrong_usage_exits_2(server, dest, options):
    assert get_data(server + "/right", dest, *options).returncode == 2
