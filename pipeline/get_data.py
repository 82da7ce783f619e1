#!/usr/bin/env python3
"""Download the Auto MPG data set, or copy the one in data/ if that fails.

usage: get_data.py DEST_FILE

DATA_URL (environment) says where from: http[s]://HOST[:PORT]/PATH; the default is the UCI Machine
Learning Repository. Whoever sends it, the file must have the published one's SHA-256.

Exit status: 0 DEST_FILE is the published file; 1 it could not be had or written; 2 usage.
"""

import argparse
import hashlib
import os
import re
import signal
import sys
import tempfile
import urllib.request
from pathlib import Path

DEFAULT_URL = "https://archive.ics.uci.edu/ml/machine-learning-databases/auto-mpg/auto-mpg.data"
SIZE = 30286
SHA256 = "48b830e11feee5572525f8f1691ddb9d38d3d7b7063edcd8fca672c2a5e17d8d"
DEADLINE = 20  # seconds for everything: connection, redirects and body
EMBEDDED = Path(__file__).resolve().parent.parent / "data" / "auto-mpg.data"

# Without a user and password, which would end up in logs.
URL = re.compile(r"https?://([\w.-]+|\[[\da-f:.]+\])(:\d+)?([/?#][!-~]*)?", re.ASCII | re.I)


def check(content):
    """Return the content if it is the published file's; else raise ValueError."""
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise ValueError(f"the SHA-256 of these {len(content)} bytes is not the published file's")
    return content


def give_up(*_):
    # No OSError: some are caught where another address of the same host is tried.
    raise RuntimeError(f"not there after {DEADLINE:g} seconds")


def download(url):
    """Return the published file from a URL within DEADLINE, or raise an error that says why not."""
    request = urllib.request.Request(url, headers={"User-Agent": "airflow-sandbox"})
    # An alarm, because the timeout of a socket starts again with every byte.
    signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, DEADLINE)
    try:
        with urllib.request.urlopen(request) as response:
            return check(response.read(SIZE + 1))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("dest", metavar="DEST_FILE", type=Path)
    dest = parser.parse_args().dest
    url = os.environ.get("DATA_URL") or DEFAULT_URL
    usable = URL.fullmatch(url)
    source = re.split("[?#]", url)[0][:200] if usable else "DATA_URL"  # a query may be secret
    try:
        if not usable:
            raise ValueError("not a URL like https://HOST[:PORT]/PATH")
        content = download(url)
    except Exception as error:  # whatever it is, the embedded copy is the answer
        # A server may have sent the text: as one short line of plain ASCII it does no harm.
        why = re.sub("[^ -~]", "?", str(error) or type(error).__name__)[:200]
        print(f"get_data.py: {source}: {why}; using the embedded copy", flush=True)
        source = "data/auto-mpg.data"
        try:
            content = check(EMBEDDED.read_bytes())
        except (OSError, ValueError) as error:
            sys.exit(f"get_data.py: {EMBEDDED}: {error}; next: git checkout data/auto-mpg.data")
    try:
        dest.parent.mkdir(parents=True, exist_ok=True)
        # Beside it first, then renamed: the older file stays until the new one is whole.
        with tempfile.TemporaryDirectory(prefix=".auto-mpg.", dir=str(dest.parent)) as folder:
            whole = Path(folder, dest.name)
            whole.write_bytes(content)
            whole.replace(dest)
    except OSError as error:
        sys.exit(f"get_data.py: {dest}: {error.strerror or error}")
    print(f"{SIZE} bytes from {source} to {dest}")


if __name__ == "__main__":
    main()
