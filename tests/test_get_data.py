"""pipeline/get_data.py against a real web server, well and badly behaved."""

import contextlib
import datetime
import gzip
import hashlib
import http.server
import ipaddress
import os
import shutil
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
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from support.guarantees import guarantee

PROJECT = Path(__file__).resolve().parent.parent
DATA = (PROJECT / "data" / "auto-mpg.data").read_bytes()
SHA256 = "48b830e11feee5572525f8f1691ddb9d38d3d7b7063edcd8fca672c2a5e17d8d"
BOMB = gzip.compress(bytes(20000000))  # 20 kB


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers each path in its own way; remembers who asked for what, and what a flood sent.

    A path's query is given to its method: /moved?https://elsewhere/ redirects to there.
    """

    agents: ClassVar = []
    paths: ClassVar = []
    flood_bytes = 0

    def do_GET(self):
        self.agents.append(self.headers["User-Agent"])
        self.paths.append(self.path)
        path, _, self.query = self.path.partition("?")
        with contextlib.suppress(OSError):  # when the client hangs up, as it should
            getattr(self, "get_" + path.strip("/"))()

    def answer(self, body, status=200, length=None, **headers):
        self.send_response(status)
        if length != 0:
            self.send_header("Content-Length", str(length or len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def flood(self, start, again):
        """Send start, then again and again."""
        self.wfile.write(start)
        while True:
            self.wfile.write(again)
            Handler.flood_bytes += len(again)

    def get_right(self):
        self.answer(DATA)

    def get_missing(self):
        self.answer(b"gone", status=404)

    def get_broken(self):
        self.answer(b"oops", status=500)

    def get_moved(self):
        self.answer(b"", status=302, Location=self.query or "/right")

    def get_ladder(self):
        self.answer(b"", status=302, Location=f"/ladder?{int(self.query or 0) + 1}")

    def get_loop(self):
        self.answer(b"", status=302, Location="/loop")

    def get_truncated(self):
        self.answer(DATA[:20000], length=len(DATA))

    def get_nolength(self):
        self.answer(DATA[:20000], length=0)

    def get_hangup(self):
        pass

    def get_badchunks(self):
        self.answer(b"zz\r\n" + DATA, length=0, **{"Transfer-Encoding": "chunked"})

    def get_bomb(self):
        self.answer(BOMB, **{"Content-Encoding": "gzip"})

    def get_zipped(self):
        self.answer(gzip.compress(DATA), **{"Content-Encoding": "gzip"})

    def get_coloured(self):
        self.wfile.write(b"HTTP/1.1 404 \x1b]0;owned\x07\x1b[2J\x9bmred\r\n\r\n")

    def get_wordy(self):
        self.wfile.write(b"HTTP/1.1 404 " + b"no " * 20000 + b"\r\n\r\n")

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
        self.flood(b"HTTP/1.1 200 OK\r\n\r\n", DATA)

    def get_endless_chunks(self):
        start = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        self.flood(start, b"%x\r\n%s\r\n" % (len(DATA), DATA))

    def get_endless_trailers(self):
        start = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"
        self.flood(start, b"X: y\r\n" * 10000)

    def get_endless_line(self):
        self.flood(b"HTTP/1.1 200 OK\r\nX: ", b"y" * 60000)

    def get_endless_headers(self):
        self.flood(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 10000)

    def get_endless_continues(self):
        self.flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 2000)

    def get_endless_moved(self):
        self.flood(b"HTTP/1.1 302 Found\r\nLocation: /right\r\n\r\n", DATA)

    def get_endless_missing(self):
        self.flood(b"HTTP/1.1 404 Not Found\r\n\r\n", DATA)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serving(certificate=None):
    """A server of Handler; yields its URL. With a certificate (a PEM file and its key), on TLS."""
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


def get_data(url, dest, *options, project=PROJECT, inside=(), **environment):
    """Run get_data.py; inside is a command that runs it somewhere else."""
    direct = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    return subprocess.run(
        [*inside, sys.executable, project / "pipeline" / "get_data.py", dest, *options],
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


@guarantee(
    "The download",
    "HTTP 404, 500; cut, altered, longer, a login page, closed at once, broken chunks",
    "one line; the embedded copy, which has the same checksum, is used",
)
@guarantee(
    "The download",
    "redirects: a loop, too many, to file:, ftp: or data:",
    "one line; the embedded copy is used",
)
@guarantee(
    "The download",
    "a gzip bomb",
    "one line; the embedded copy is used; the bomb is never unpacked",
)
@guarantee(
    "What is downloaded",
    "the data set, from UCI",
    "against its size and SHA-256; else the copy in `data/` is used",
)
@pytest.mark.parametrize(
    "path, why",
    [
        ("/missing", "404"),
        ("/broken", "500"),
        ("/loop", "infinite loop"),
        ("/ladder", "infinite loop"),
        ("/moved?" + (PROJECT / "data/auto-mpg.data").as_uri(), "is not allowed"),
        ("/moved?ftp://127.0.0.1:9/auto-mpg.data", "unknown url type: ftp"),
        ("/moved?data:text/plain,x", "is not allowed"),
        ("/truncated", "20000 bytes instead of 30286"),
        ("/nolength", "20000 bytes instead of 30286"),
        ("/hangup", "closed connection"),
        ("/badchunks", "IncompleteRead"),
        ("/altered", "SHA-256"),
        ("/longer", "longer than"),
        ("/page", "instead of 30286"),
        # What is packed is never unpacked, be it right or a bomb.
        ("/zipped", f"{len(gzip.compress(DATA))} bytes instead of 30286"),
        ("/bomb", f"{len(BOMB)} bytes instead of 30286"),
    ],
)
def test_a_bad_answer_is_one_line_and_the_embedded_copy_is_used(server, dest, path, why):
    Handler.paths.clear()
    assert_fell_back(get_data(server + path, dest), server + path.partition("?")[0], dest, why)
    assert len(Handler.paths) <= 11  # the first and ten redirects


@guarantee(
    "The download",
    "an endless body, header, header line, chunk, redirect or 100",
    "at most 1 MB is read; the embedded copy",
)
@pytest.mark.parametrize(
    "path, why",
    [
        ("/endless", "longer than the 30286 bytes"),
        ("/endless_chunks", "longer than the 30286 bytes"),
        ("/endless_line", "more than 65536 bytes"),
        ("/endless_headers", "more than 100 headers"),
        ("/endless_missing", "404"),
        # These would be read until the deadline, the second one into memory: more than 1 GB.
        ("/endless_continues", "more than 1"),  # 1000000 bytes; 100 replies to Python 3.14
        ("/endless_moved", "more than 1000000 bytes"),
        ("/endless_trailers", "more than"),
    ],
)
def test_an_endless_answer_is_not_read_to_the_end(server, dest, path, why):
    Handler.flood_bytes = 0
    assert_fell_back(get_data(server + path, dest), server + path, dest, why)
    assert Handler.flood_bytes < 20e6  # what the two sockets' buffers took, no more


@guarantee(
    "The download",
    "terminal codes or 60 kB in a server's message",
    "one short line of plain text",
)
@pytest.mark.parametrize("path", ["/coloured", "/wordy"])
def test_what_a_server_says_of_an_error_can_do_nothing_to_a_terminal(server, dest, path):
    run = get_data(server + path, dest)
    assert_fell_back(run, server + path, dest, "HTTP Error 404")
    assert all(line.isprintable() and len(line) < 400 for line in run.stdout.splitlines())


@guarantee(
    "The download",
    "a slow drip",
    "20 s at most; the embedded copy",
)
@pytest.mark.parametrize("path", ["/drip", "/slowheaders"])
def test_a_slow_drip_does_not_extend_the_deadline(server, dest, path):
    start = time.monotonic()
    run = get_data(server + path, dest, "--timeout", "0.7")
    assert time.monotonic() - start < 3
    assert_fell_back(run, server + path, dest, "not there after 0.7 seconds")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_server_that_never_answers_is_given_up_on(dest, scheme):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(1)
        url = f"{scheme}://127.0.0.1:{silent.getsockname()[1]}/"
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


SILENT_DNS = """
import fcntl, socket, struct, subprocess, sys
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh14x", b"lo", 0x49))  # loopback up
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
subprocess.check_call(["sh", "-c", sys.argv[1]])
code = subprocess.call(sys.argv[2:])
server.settimeout(0)
assert b"example" in server.recv(512), "the name was not asked for"
sys.exit(code)
"""


@guarantee(
    "The download",
    "a server, or a name server, that never answers",
    "20 s at most; the embedded copy",
)
def test_a_name_server_that_never_answers_is_given_up_on(dest, tmp_path):
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:30\n")
    (tmp_path / "nsswitch.conf").write_text("hosts: dns\n")
    unshare = ["unshare", "--map-root-user", "--mount", "--net"]
    mount = " && ".join(
        f"mount --bind '{tmp_path / name}' /etc/{name}" for name in ("resolv.conf", "nsswitch.conf")
    )
    if not shutil.which("unshare") or subprocess.run([*unshare, "sh", "-c", mount]).returncode:
        pytest.skip("this machine lets nobody replace /etc/resolv.conf in a namespace (unshare)")
    url = "http://data.example/auto-mpg.data"
    inside = [*unshare, sys.executable, "-c", SILENT_DNS, mount]
    start = time.monotonic()
    run = get_data(url, dest, "--timeout", "0.7", inside=inside)
    assert time.monotonic() - start < 5
    assert_fell_back(run, url, dest, "not there after 0.7 seconds")


def make_certificate(path, host="127.0.0.1", days=1):
    """Write a certificate and its key to path: signed by itself, for host, for days from now."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    address = x509.IPAddress(ipaddress.ip_address(host))
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=10))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture(scope="module")
def trusted(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("tls") / "trusted.pem")


@pytest.fixture(scope="module")
def tls_server(trusted):
    with serving(trusted) as url:
        yield url


def test_a_trusted_tls_server_is_downloaded_from(tls_server, dest, trusted):
    run = get_data(tls_server + "/right", dest, SSL_CERT_FILE=str(trusted))
    assert (run.returncode, run.stdout) == (0, f"30286 bytes from {tls_server}/right to {dest}\n")


@guarantee(
    "The download",
    "a redirect from http to https, or back",
    "followed; the checksum decides",
)
@pytest.mark.parametrize("secure_first", [False, True])
def test_a_redirect_between_http_and_https_is_followed(
    server, tls_server, dest, trusted, secure_first
):
    first, second = (tls_server, server) if secure_first else (server, tls_server)
    run = get_data(f"{first}/moved?{second}/right", dest, SSL_CERT_FILE=str(trusted))
    # It is the checksum that the file is known by, not who sent it.
    assert run.stdout.startswith(f"30286 bytes from {first}"), run
    assert_published_file_alone(dest)


def test_a_tls_server_that_is_not_trusted_falls_back_also_after_a_redirect(
    server, tls_server, dest
):
    for url in (tls_server + "/right", f"{server}/moved?{tls_server}/right"):
        run = get_data(url, dest)
        assert_fell_back(run, url.partition("?")[0], dest, "certificate verify failed")


@guarantee(
    "The download",
    "TLS: untrusted, expired, another host's, none",
    "the embedded copy",
)
@pytest.mark.parametrize(
    "fault, why",
    [({"days": -1}, "has expired"), ({"host": "127.0.0.2"}, "not valid for '127.0.0.1'")],
)
def test_a_certificate_that_is_out_of_date_or_for_another_host_falls_back(
    dest, tmp_path, fault, why
):
    certificate = make_certificate(tmp_path / "bad.pem", **fault)
    with serving(certificate) as url:
        run = get_data(url + "/right", dest, SSL_CERT_FILE=str(certificate))
    assert_fell_back(run, url, dest, why)


def test_a_server_that_does_not_speak_tls_falls_back(server, dest):
    url = server.replace("http:", "https:") + "/right"
    assert_fell_back(get_data(url, dest), url, dest, "SSL")


@guarantee(
    "The download",
    "a password or a token in DATA_URL",
    "never shown",
)
@pytest.mark.parametrize(
    "url",
    [
        (PROJECT / "data/auto-mpg.data").as_uri(),
        "ftp://127.0.0.1/auto-mpg.data",
        "auto-mpg.data",
        "-o/tmp/x",
        "http://",
        "http://[::1",
        "http://127.0.0.1:port/",
        "http://two words/",
        "http://127.0.0.1:9/\x1b[2J\r\nX: y",
        "http://127.0.0.1:9/\udcff",
        "http://user:s3cret@127.0.0.1:9/auto-mpg.data",
        "http://user:s3cret@127.0.0.1:port/",
        "http://user:?/s3cret#@127.0.0.1/",
        "user:s3cret@127.0.0.1/auto-mpg.data",
    ],
)
def test_a_bad_url_falls_back_and_shows_no_password(dest, url):
    run = get_data(url, dest)
    assert_fell_back(run, "get_data.py: ", dest, "not a URL like https://HOST[:PORT]/PATH")
    assert "s3cret" not in run.stdout and run.stdout.replace("\n", "").isprintable()


def test_a_query_is_sent_but_not_shown(server, dest):
    run = get_data(server + "/right?token=s3cret", dest)
    assert run.stdout == f"30286 bytes from {server}/right?*** to {dest}\n"
    assert Handler.paths[-1] == "/right?token=s3cret"


def test_a_url_of_100000_characters_is_cut_in_the_message(server, dest):
    run = get_data(server + "/page?" + "x" * 100000, dest)
    assert_fell_back(run, server + "/page?***", dest, "")
    run = get_data(server + "/" + "x" * 100000, dest)
    assert_fell_back(run, server + "/xxx", dest, "HTTP Error 414")
    assert len(run.stdout) < 1000


@pytest.fixture
def damaged(tmp_path):
    """A copy of the project's two folders in which the embedded file is damaged."""
    copy = tmp_path / "copy"
    for folder in ("pipeline", "data"):
        shutil.copytree(str(PROJECT / folder), str(copy / folder))
    (copy / "data" / "auto-mpg.data").write_bytes(DATA[:-2] + b"!\n")
    return copy


@guarantee(
    "The download",
    "the embedded copy damaged as well",
    "one line, and the command that restores it",
)
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


@pytest.mark.parametrize(
    "options, why",
    [("size=16k", "No space left on device"), ("ro", "Read-only file system")],
)
def test_a_disk_that_is_full_or_read_only_is_one_line_and_nothing_left(
    server, tmp_path, options, why
):
    mount = f"mount -t tmpfs -o {options} none '{tmp_path}'"
    unshare = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    if not shutil.which("unshare") or subprocess.run([*unshare, mount]).returncode:
        pytest.skip("this machine lets nobody mount a file system in a namespace (unshare)")
    script = '"$@"; code=$?; ls -A "$0"; exit $code'
    inside = [*unshare, f"{mount} && {script}", tmp_path]
    run = get_data(server + "/right", tmp_path / "auto-mpg.data", inside=inside)
    assert (run.returncode, run.stdout) == (1, "")
    assert len(run.stderr.splitlines()) == 1 and str(tmp_path) in run.stderr and why in run.stderr


@pytest.mark.parametrize("options", [["--timeout", "0"], ["--timeout", "soon"], ["--nope"]])
def test_wrong_usage_exits_2(server, dest, options):
    assert get_data(server + "/right", dest, *options).returncode == 2
