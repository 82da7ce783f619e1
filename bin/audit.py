#!/usr/bin/env python3
"""Ask for the known vulnerabilities of a lock's packages, and fail at one that is not listed.

Usage:   bin/audit.py LOCK
Example: bin/audit.py editions/3/requirements.txt

pip-audit (make tools installs it) asks OSV, the database behind PyPI's own warnings, about every
package and version of LOCK, whichever Python and system they are for. What is known, and why it
stays, is listed in known-vulnerabilities.txt beside LOCK: an ID a line, and after it the reason.

OSV_URL=   where to ask, instead of https://api.osv.dev/v1/query

Exit codes: 0 nothing was found that is not listed, 1 something was, 2 LOCK or the list can't be
read, 3 the database could not be asked.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
TOOLS_PYTHON = PROJECT / ".sandbox/3/tools/bin/python"
OSV_URL = "https://api.osv.dev/v1/query"
LISTING = "known-vulnerabilities.txt"


class Unreadable(Exception):
    """A file is not what it should be; the message says where and why."""


class NotAsked(Exception):
    """The database did not answer for every package; the message says why."""


def pins(lock):
    """Return {(name, version)} of a lock as uv writes it; raises Unreadable, OSError."""
    found = set()
    for line in lock.read_text(encoding="utf-8").replace("\\\n", "").splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            pin = re.match(r"([\w.-]+)==([\w.+!-]+)(\s|$)", line)
            if not pin:
                raise Unreadable(f"{lock}: no exact version in: {line[:80]}")
            found.add((pin[1], pin[2]))
    return found


def listed(path):
    """Return {ID: reason} of a list of known vulnerabilities; raises Unreadable, OSError."""
    known = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            name, _, reason = line.partition(" ")
            if not reason.strip():
                raise Unreadable(f"{path}:{number}: no reason is given why {name} stays")
            known[name] = reason.strip()
    return known


def ask(packages, url):
    """Return pip-audit's findings as [(name, version, IDs, versions that mend it)]; or NotAsked.

    As a pylock.toml, because of a requirements.txt pip-audit leaves out what is not for the
    Python that it runs on.
    """
    with tempfile.TemporaryDirectory() as folder:
        text = 'lock-version = "1.0"\ncreated-by = "bin/audit.py"\n'
        for name, version in sorted(packages):
            text += f'[[packages]]\nname = "{name}"\nversion = "{version}"\n'
        Path(folder, "pylock.toml").write_text(text, encoding="utf-8")
        cache = PROJECT / ".sandbox/cache/pip-audit"
        command = [TOOLS_PYTHON, "-m", "pip_audit", "--locked", folder, "--strict"]
        command += ["--vulnerability-service", "osv", "--osv-url", url, "--format", "json"]
        command += ["--progress-spinner", "off", "--cache-dir", cache]
        try:
            run = subprocess.run(command, capture_output=True, text=True)
        except FileNotFoundError:
            raise NotAsked("pip-audit is not installed; install it with: make tools") from None
    try:
        answered = json.loads(run.stdout)["dependencies"]
    except (ValueError, KeyError):
        *_, last = ["pip-audit said nothing", *run.stderr.split("\n")[:-1]]
        raise NotAsked(f"{url}: {last}") from None
    if len(answered) != len(packages):
        raise NotAsked(f"{url}: {len(answered)} answers for {len(packages)} packages")
    findings = []
    for package in answered:
        for found in package["vulns"]:
            ids = [found["id"], *sorted(found["aliases"])]
            findings.append((package["name"], package["version"], ids, found["fix_versions"]))
    return findings


def main(arguments):
    """Audit the lock that the arguments name; return the exit code."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print(__doc__)
        return 0 if arguments in (["-h"], ["--help"]) else 2
    lock = Path(arguments[0])
    listing = lock.with_name(LISTING)
    try:
        packages = pins(lock)
        known = listed(listing)
        findings = ask(packages, os.environ.get("OSV_URL") or OSV_URL)
    except (Unreadable, OSError) as error:
        print(f"audit: {error}", file=sys.stderr)
        return 2
    except NotAsked as error:
        print(
            f"audit: could not audit {lock}: {error}; again: bin/audit.py {lock}", file=sys.stderr
        )
        return 3

    seen, unlisted = set(), 0
    for name, version, ids, mended in findings:
        what = f"{name} {version} has {', also '.join(ids)}"
        if reasons := [known[found] for found in ids if found in known]:
            seen.update(ids)
            print(f"   listed: {what}: {reasons[0]}")
        else:
            unlisted += 1
            print(f"audit: {what}; mended in: {', '.join(mended) or 'no version'}", file=sys.stderr)
    for name in sorted(known.keys() - seen):
        print(f"   {listing}: {name} is no longer found; remove its line")
    print(f"   {lock}: {len(packages)} packages, {unlisted} findings that are not listed")
    if unlisted:
        print(
            f"audit: take versions that mend it (make lock), or list it in {listing} with the"
            " reason why it stays",
            file=sys.stderr,
        )
    return 1 if unlisted else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
