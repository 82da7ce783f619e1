"""pipeline/get_data.py against a real web server, well and badly behaved."""

import contextlib
import datetime
import gzip
import hashlib
import http.server
import ipaddress
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import ClassVar

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from support.guarantees import guarantee

from pipeline import get_data as module

PROJECT = Path(__file__).resolve().parent.parent
DATA = (PROJECT / "data" / "auto-mpg.data").read_bytes()
SHA256 = "48b830e11feee5572525f8f1691ddb9d38d3d7b7063edcd8fca672c2a5e17d8d"
BOMB = gzip.compress(bytes(20000000))  # 20 kB


def answer(status, body=b"", **headers):
    """Return the bytes of a whole reply."""
    lines = [f"HTTP/1.0 {status} {http.HTTPStatus(status).phrase}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "\r\n"]).encode() + body


# What is sent for a path; of a pair, the second one again and again.
ANSWERS = {
    "right": answer(200, DATA),
    "missing": answer(404),
    "broken": answer(500),
    "loop": answer(302, Location="/loop"),
    "truncated": answer(200, DATA[:20000], Content_Length=len(DATA)),
    "hangup": b"",
    "badchunks": answer(200, b"zz\r\n" + DATA, Transfer_Encoding="chunked"),
    "bomb": answer(200, BOMB, Content_Encoding="gzip"),
    "coloured": b"HTTP/1.1 404 \x1b]0;owned\x07\x1b[2J\x9bmred\r\n\r\n",
    "wordy": b"HTTP/1.1 404 " + b"no " * 20000 + b"\r\n\r\n",
    "altered": answer(200, DATA[:-2] + b"!\n"),
    "longer": answer(200, DATA + b"!"),
    "page": answer(200, b"<html><body>Please log in to this network</body></html>"),
    "endless": (answer(200), DATA),
    "endless_chunks": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"%x\r\n%s\r\n" % (len(DATA), DATA),
    ),
    "endless_line": (b"HTTP/1.1 200 OK\r\nX: ", b"y" * 60000),
    "endless_missing": (answer(404), DATA),
    "drip": (answer(200), DATA[:1]),
}


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers as ANSWERS says; /moved?URL redirects. Remembers who asked for what."""

    agents: ClassVar = []
    paths: ClassVar = []
    flood_bytes = 0

    def do_GET(self):
        self.agents.append(self.headers["User-Agent"])
        self.paths.append(self.path)
        address, _, query = self.path.partition("?")
        name = address.rpartition("/")[2]
        if name == "moved":
            self.wfile.write(answer(302, Location=query or "/right"))
            return
        start, *again = ANSWERS[name] if isinstance(ANSWERS[name], tuple) else [ANSWERS[name]]
        with contextlib.suppress(OSError):  # when the client hangs up, as it should
            self.wfile.write(start)
            while again:
                self.wfile.write(again[0])
                Handler.flood_bytes += len(again[0])
                time.sleep(0.05 if name == "drip" else 0)  # well within any socket timeout

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serving(certificate=None):
    """A server of Handler; yields its URL. With a certificate and its key, on TLS."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        httpd.daemon_threads = True
        httpd.block_on_close = False
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            httpd.socket = context.wrap_socket(httpd.socket, server_side=True)
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield f"http{'s' if certificate else ''}://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def server():
    with serving() as url:
        yield url


@pytest.fixture
def get_data(monkeypatch, capsys):
    """get_data.py's main(), run with a URL and environment; returns a CompletedProcess."""
    for name in "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy":
        monkeypatch.delenv(name, raising=False)

    def run(url, dest, deadline=20, **environment):
        monkeypatch.setattr(module, "DEADLINE", deadline)
        monkeypatch.setattr(sys, "argv", ["get_data.py", str(dest)])
        module.urllib.request.install_opener(None)  # which is made from the environment, once
        for name, value in {"DATA_URL": url, **environment}.items():
            monkeypatch.setenv(name, value)
        code, message = 0, ""
        try:
            module.main()
        except SystemExit as stop:
            code, message = 1, f"{stop.code}\n"
        said = capsys.readouterr()
        return subprocess.CompletedProcess([], code, said.out, said.err + message)

    return run


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


def test_the_right_file_is_downloaded_in_one_line(server, get_data, dest):
    assert (len(DATA), hashlib.sha256(DATA).hexdigest()) == (30286, SHA256)
    for path, query in ("/right", "?token=s3cret"), ("/moved", ""):
        run = get_data(server + path + query, dest)
        assert (run.returncode, run.stderr) == (0, "")
        assert run.stdout == f"30286 bytes from {server}{path} to {dest}\n"  # without the query
        assert_published_file_alone(dest)
    assert Handler.agents[-1].startswith("airflow-sandbox")
    assert "/right?token=s3cret" in Handler.paths


def test_the_usual_proxy_variables_are_obeyed(server, get_data, dest):
    url = "http://no-such-host.invalid/right"
    assert url in get_data(url, dest, http_proxy=server).stdout
    assert Handler.paths[-1] == url  # a proxy is asked for the whole URL
    assert_published_file_alone(dest)


@guarantee(
    "The download",
    "HTTP 404, 500; cut, altered, longer, a login page, closed at once, broken chunks",
    "one line; the embedded copy, which has the same checksum, is used",
)
@guarantee(
    "The download",
    "redirects: a loop, to file:, ftp: or data:",
    "one line; the embedded copy is used",
)
@guarantee(
    "The download",
    "a gzip bomb",
    "one line; the embedded copy is used; the bomb is never unpacked",
)
@guarantee(
    "The download",
    "terminal codes or 60 kB in a server's message",
    "one short line of plain text",
)
@guarantee(
    "The download",
    "an endless body, header line, or chunk",
    "at most 31 kB of it are read; the embedded copy",
)
@guarantee(
    "What is downloaded",
    "the data set, from UCI",
    "against its SHA-256; else the copy in `data/` is used",
)
def test_a_bad_answer_is_one_line_and_the_embedded_copy_is_used(server, get_data, dest):
    Handler.flood_bytes = 0
    for path, why in (
        ("/missing", "404"),
        ("/broken", "500"),
        ("/loop", "infinite loop"),
        ("/moved?" + (PROJECT / "data/auto-mpg.data").as_uri(), "is not allowed"),
        ("/moved?ftp://127.0.0.1:9/auto-mpg.data", "refused"),
        ("/moved?data:text/plain,x", "is not allowed"),
        ("/truncated", "these 20000 bytes"),
        ("/hangup", "closed connection"),
        ("/badchunks", "IncompleteRead"),
        ("/altered", "SHA-256"),
        ("/longer", "these 30287 bytes"),
        ("/page", "SHA-256"),
        ("/bomb", f"these {len(BOMB)} bytes"),  # what is packed is never unpacked
        ("/coloured", "404"),
        ("/wordy", "404"),
        ("/endless", "these 30287 bytes"),
        ("/endless_chunks", "these 30287 bytes"),
        ("/endless_line", "more than 65536 bytes"),
        ("/endless_missing", "404"),
        ("/" + "x" * 100000, "414"),
    ):
        run = get_data(server + path, dest)
        assert_fell_back(run, (server + path.partition("?")[0])[:200], dest, why)
        assert all(line.isprintable() and len(line) < 420 for line in run.stdout.splitlines())
        dest.unlink()
    assert Handler.flood_bytes < 80e6  # what the sockets' buffers took, no more


@guarantee(
    "The download",
    "a slow drip, or a server that never answers",
    "20 s at most; the embedded copy",
)
def test_a_server_that_is_slow_or_silent_or_not_there_is_given_up_on(server, get_data, dest):
    with socket.socket() as silent, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, not listening: nobody else can take the port
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/"
        assert_fell_back(get_data(url, dest), url, dest, "refused")
        silent.bind(("127.0.0.1", 0))
        silent.listen(1)
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        for url in f"{server}/drip", f"http://{address}/", f"https://{address}/":
            start = time.monotonic()
            assert_fell_back(get_data(url, dest, deadline=0.5), url, dest, "after 0.5 seconds")
            assert time.monotonic() - start < 3
    url = "http://no-such-host.invalid/auto-mpg.data"
    assert_fell_back(get_data(url, dest, deadline=3), url, dest, "")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A PEM file: a key, and a certificate of 127.0.0.1 that is signed by itself."""
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    day, now = datetime.timedelta(days=1), datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), now - day, now + day
    ).add_extension(x509.SubjectAlternativeName([address]), critical=False)
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(secret + builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
    return path


@pytest.fixture(scope="module")
def tls_server(certificate):
    with serving(certificate) as url:
        yield url


@guarantee(
    "The download",
    "a redirect from http to https, or back",
    "followed; the checksum decides",
)
@guarantee("The download", "TLS: untrusted, or none", "the embedded copy")
def test_a_tls_server_is_downloaded_from_if_it_is_trusted(
    server, tls_server, get_data, dest, certificate
):
    trusted = [
        tls_server + "/right",
        f"{server}/moved?{tls_server}/right",
        f"{tls_server}/moved?{server}/right",
    ]
    for url in trusted:
        run = get_data(url, dest, SSL_CERT_FILE=str(certificate))
        assert run.stdout == f"30286 bytes from {url.partition('?')[0]} to {dest}\n"
        assert_published_file_alone(dest)
    for url in *trusted, server.replace("http:", "https:") + "/right":
        run = get_data(url, dest, SSL_CERT_FILE="")
        assert_fell_back(run, url.partition("?")[0], dest, "SSL")


@guarantee("The download", "a password or a token in DATA_URL", "never shown")
def test_a_bad_url_falls_back_and_is_not_shown(get_data, dest):
    for url in (
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "http://",
        "http://[::1",
        "http://127.0.0.1:9/\x1b[2J\r\nX: y",
        "http://127.0.0.1:9/\udcff",
        "http://user:s3cret@127.0.0.1:port/",
        "http://user:?/s3cret#@127.0.0.1/",
        "user:s3cret@127.0.0.1/x",
    ):
        run = get_data(url, dest)
        assert_fell_back(run, "DATA_URL: ", dest, "not a URL like https://HOST[:PORT]/PATH")
        assert "s3cret" not in run.stdout and run.stdout.replace("\n", "").isprintable()


@guarantee(
    "The download",
    "the embedded copy damaged as well",
    "one line, and the command that restores it; the older file stays",
)
def test_a_damaged_embedded_copy_is_an_error_that_says_how_to_restore_it(
    server, get_data, dest, tmp_path, monkeypatch
):
    monkeypatch.setattr(module, "EMBEDDED", tmp_path / "copy")
    dest.parent.mkdir()
    dest.write_text("old")
    for content, why in (None, "No such file"), (DATA[:-2] + b"!\n", "SHA-256"):
        if content:
            (tmp_path / "copy").write_bytes(content)
        run = get_data(server + "/missing", dest)
        assert run.returncode == 1 and "404" in run.stdout and why in run.stderr
        assert run.stderr.endswith("next: git checkout data/auto-mpg.data\n")
        assert dest.read_text() == "old" and os.listdir(str(dest.parent)) == [dest.name]
    assert get_data(server + "/right", dest).returncode == 0  # which needs no embedded copy
    assert_published_file_alone(dest)


def test_on_the_command_line(server, dest):
    command = [sys.executable, PROJECT / "pipeline/get_data.py"]
    environment = {**os.environ, "DATA_URL": server + "/right", "no_proxy": "127.0.0.1"}
    assert subprocess.run([*command, dest], env=environment).returncode == 0
    assert_published_file_alone(dest)
    for wrong in [], ["--nope"], [dest, dest]:
        assert subprocess.run(command + wrong, stderr=subprocess.PIPE).returncode == 2
    folder = dest.parent  # where a file should go
    failed = subprocess.run([*command, folder], env=environment, capture_output=True, text=True)
    assert (failed.returncode, len(failed.stderr.splitlines())) == (1, 1)
    assert not list(folder.parent.glob(".auto-mpg*"))
