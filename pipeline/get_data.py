#!/usr/bin/env python3
"""Put the Auto MPG data set where DEST_FILE says: downloaded, or else from the copy in data/.

usage: get_data.py [--timeout SECONDS] [--since TIME] DEST_FILE

DATA_URL (environment) says where from: http[s]://HOST[:PORT]/PATH; the default is the UCI Machine
Learning Repository. What arrives must have the published file's size and SHA-256, so it does not
matter who sends it. If it has not, or nothing arrives within the timeout, one line says so and the
embedded copy, which has the same SHA-256, is used instead.

--since TIME: results beside DEST_FILE that are older, as of an earlier DAG run, are removed first.
What this DAG run has made stays, so a second copy of the task does the tasks after it no harm. TIME
is that of Python's datetime, with its offset: 2026-11-26 09:30:00.123456+00:00.

Exit status: 0 DEST_FILE is the published file; 1 it could not be had or written; 2 usage.
"""

import argparse
import contextlib
import hashlib
import http.client
import io
import os
import re
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from datetime import datetime

DEFAULT_URL = "https://archive.ics.uci.edu/ml/machine-learning-databases/auto-mpg/auto-mpg.data"
SIZE = 30286
SHA256 = "48b830e11feee5572525f8f1691ddb9d38d3d7b7063edcd8fca672c2a5e17d8d"
DEADLINE = 20  # seconds for everything: name, connection, redirects, headers and body
MOST = 1000000  # bytes of one reply, headers and all; UCI sends 30 700
SHOWN = 200  # characters of a URL or of an error in a message

# A user's name or password before the host is no part of it: it would end up in logs.
URL = re.compile(
    r"https?://([\w.-]+|\[[\da-f:.]+\])(:\d+)?([/?#][!-~]*)?", re.ASCII | re.IGNORECASE
)

PROJECT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
EMBEDDED = os.path.join(PROJECT, "data", "auto-mpg.data")


# What a run of dag_test leaves beside DEST_FILE.
MADE = "results.csv", "bias_variance.png", "report.html"


class Unusable(Exception):
    """What was found is not the published file; the message says why."""


def check(content):
    """Raise Unusable unless these bytes are the published file's."""
    if len(content) > SIZE:
        raise Unusable(f"longer than the {SIZE} bytes expected")
    if len(content) < SIZE:
        raise Unusable(f"{len(content)} bytes instead of {SIZE}")
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise Unusable("wrong content (its SHA-256 differs)")


class Metered(io.RawIOBase):
    """A connection's bytes, of which there are MOST: the last wall against what has no end.

    http.client bounds each line and the lines of a header, but neither how many replies of 100
    (Continue) come first, nor a redirect's body, which urllib reads whole, nor what follows a
    chunked body.
    """

    def __init__(self, raw):
        self.raw, self.left = raw, MOST

    def readable(self):
        return True

    def readinto(self, buffer):
        count = self.raw.readinto(buffer)
        self.left -= count
        if self.left < 0:
            raise Unusable(f"a reply of more than {MOST} bytes")
        return count

    def close(self):
        self.raw.close()
        super().close()


class MeteredReply(http.client.HTTPResponse):
    """A reply, read through Metered."""

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.fp = io.BufferedReader(Metered(self.fp.detach()))


class MeteredConnection(http.client.HTTPConnection):
    response_class = MeteredReply


class MeteredSecureConnection(http.client.HTTPSConnection):
    response_class = MeteredReply


class HTTPHandler(urllib.request.HTTPHandler):
    def http_open(self, request):
        return self.do_open(MeteredConnection, request)


class HTTPSHandler(urllib.request.HTTPSHandler):
    def https_open(self, request):
        return self.do_open(MeteredSecureConnection, request)


def fetch(url, timeout):
    """Return the first SIZE + 1 bytes at an http or https URL, or raise.

    An opener of our own, because urllib's usual one also opens file: and ftp: URLs.
    """
    if not URL.fullmatch(url):
        raise Unusable("not a URL like https://HOST[:PORT]/PATH")
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.UnknownHandler,
        HTTPHandler,
        HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPErrorProcessor,
    ):
        opener.add_handler(handler())
    request = urllib.request.Request(url, headers={"User-Agent": "airflow-sandbox"})
    with opener.open(request, timeout=timeout) as response:
        return response.read(SIZE + 1)


def download(url, timeout):
    """Return the published file from url, within timeout seconds, or raise Unusable.

    A socket's timeout starts again with every byte, and looking up a name has none. So the
    download runs in a thread of its own, which is left behind when time is up. It is 30 kB: it
    stays in memory until it is known to be right.
    """
    outcome = {}

    def run():
        try:
            outcome["content"] = fetch(url, timeout)
        except Exception as error:  # whatever it is, the embedded copy is the answer
            outcome["error"] = error

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(timeout)
    if thread.is_alive():
        raise Unusable(f"not there after {timeout:g} seconds")
    if "error" in outcome:
        error = outcome["error"]
        if type(error) is urllib.error.URLError:  # only a wrapper, unlike its child HTTPError
            error = error.reason
        raise Unusable(str(error) or type(error).__name__)
    check(outcome["content"])
    return outcome["content"]


def shown(text):
    """Return text, which a server may have sent, as any terminal or log can take it: one line of
    plain ASCII, SHOWN characters of it, none of which moves the cursor."""
    text = re.sub("[^ -~]", "?", " ".join(text.split()))
    return text if len(text) <= SHOWN else text[:SHOWN] + "..."


def shown_url(url):
    """Return url for a message, without what may be secret: user, password and query."""
    url = re.sub(r"^(https?://)?.*@", r"\1***@", url, flags=re.DOTALL | re.IGNORECASE)
    return shown(re.sub(r"\?.*", "?***", url, flags=re.DOTALL))


def embedded():
    """Return the embedded copy, or raise Unusable."""
    try:
        with open(EMBEDDED, "rb") as file:
            content = file.read(SIZE + 1)
        check(content)
    except (OSError, Unusable) as error:
        reason = getattr(error, "strerror", None) or error
        raise Unusable(
            f"the embedded copy {EMBEDDED} is damaged too: {reason}; restore it with\n"
            "    git checkout data/auto-mpg.data"
        ) from error
    return content


def write(path, content):
    """Write path whole or not at all: to a temporary file beside it, then renamed."""
    folder = os.path.dirname(os.path.abspath(path))
    os.makedirs(folder, exist_ok=True)
    handle, partial = tempfile.mkstemp(prefix=".auto-mpg.", dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(partial, 0o644)  # mkstemp's files are for the owner alone
        os.replace(partial, path)
    except BaseException:
        os.unlink(partial)
        raise


def remove_older(path, time):
    """Remove what an earlier DAG run has left at path and beside it; time: since when it is not."""
    for name in (os.path.basename(path), *MADE):
        file = os.path.join(os.path.dirname(path), name)
        with contextlib.suppress(FileNotFoundError):
            if os.stat(file).st_mtime < time.timestamp():
                os.remove(file)


def main():
    parser = argparse.ArgumentParser(description="Get the Auto MPG data set, see DATA_URL.")
    parser.add_argument("dest", metavar="DEST_FILE")
    parser.add_argument("--timeout", metavar="SECONDS", type=float, default=DEADLINE)
    parser.add_argument("--since", metavar="TIME", type=datetime.fromisoformat)
    arguments = parser.parse_args()
    if not 0 < arguments.timeout <= 3600:
        parser.error("--timeout must be more than 0 and at most 3600 seconds")
    url = os.environ.get("DATA_URL") or DEFAULT_URL
    try:
        if arguments.since:
            remove_older(arguments.dest, arguments.since)
        try:
            content, source = download(url, arguments.timeout), shown_url(url)
        except Unusable as error:
            reason = shown(str(error))
            print(f"get_data.py: {shown_url(url)}: {reason}; using the embedded copy", flush=True)
            content, source = embedded(), "data/auto-mpg.data"
        write(arguments.dest, content)
    except Unusable as error:
        sys.exit(f"get_data.py: {error}")
    except OSError as error:
        sys.exit(f"get_data.py: {arguments.dest}: {error.strerror or error}")
    print(f"{len(content)} bytes from {source} to {arguments.dest}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
