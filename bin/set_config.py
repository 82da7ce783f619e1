#!/usr/bin/env python3
"""Set options in an airflow.cfg, in place, as you would by hand in an editor.

Usage:   bin/set_config.py FILE [--secret SECTION.KEY] SECTION.KEY=VALUE ...
Example: bin/set_config.py airflow.cfg core.load_examples=False

Every other line keeps its bytes: comments, order, blank lines. An option that is commented out
is switched on where it stands; one that the file does not know is added to the end of its
section. Each change is printed; running it again changes nothing. --secret makes a new random
value where the present one is shorter than 64 bytes, and does not print it.

Exit codes: 0 done (or nothing to do), 1 the file can't be read or written or lacks the section,
2 wrong usage. On an error the file stays as it was.
"""

import argparse
import os
import re
import secrets
import sys
from pathlib import Path

SECRET_BYTES = (
    64  # what HMAC-SHA512, Airflow's signature for API tokens, asks of a key (RFC 7518, 3.2)
)


def set_option(text, section, key, value):
    """Return the text of a config file with one option set.

    text: the file's content. value: the plain value; `%`, which starts an interpolation in an
    airflow.cfg, is doubled here. Returns (new text, old value as it stands in the file, or None
    if it was not set). Raises KeyError if there is no such section.
    """
    lines = text.splitlines(keepends=True)
    headers = [i for i, line in enumerate(lines) if re.match(r"\[.+\]\s*$", line)]
    start = next((i for i in headers if lines[i].strip() == f"[{section}]"), None)
    if start is None:
        raise KeyError(section)
    end = next((i for i in headers if i > start), len(lines))

    new_line = f"{key} = {value.replace('%', '%%')}\n"
    set_here = re.compile(rf"{re.escape(key)}\s*=\s*(.*)$")
    commented = re.compile(rf"#\s*{re.escape(key)}\s*=")
    for i in range(start + 1, end):
        found = set_here.match(lines[i])
        if found:
            after = i + 1  # a value goes on over the indented lines that follow
            while after < end and re.match(r"[ \t]+\S", lines[after]):
                after += 1
            lines[i:after] = [new_line]
            return "".join(lines), found.group(1).strip()
    for i in range(start + 1, end):
        if commented.match(lines[i]):
            lines[i] = new_line
            return "".join(lines), None
    last = end
    while not lines[last - 1].strip():
        last -= 1
    if not lines[last - 1].endswith("\n"):
        lines[last - 1] += "\n"
    lines.insert(last, new_line)
    return "".join(lines), None


def parse(arguments):
    """Return (path, [(section, key, value or None for a secret)]) or exit with 2."""
    parser = argparse.ArgumentParser(
        prog="set_config.py", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("--secret", action="append", default=[], metavar="SECTION.KEY")
    parser.add_argument("options", nargs="*", metavar="SECTION.KEY=VALUE")
    args = parser.parse_intermixed_args(arguments)

    settings = []
    for option in args.secret + args.options:
        found = re.match(r"(\w+)\.(\w+)(?:=([^\r\n]*))?$", option)
        if not found or (found.group(3) is None) != (option in args.secret):
            parser.error(f"expected SECTION.KEY=VALUE on one line, got {option!r}")
        settings.append(found.groups())
    return args.file, settings


def main(arguments=None):
    """Edit the file that the arguments name; return the exit code."""
    path, settings = parse(arguments)
    try:
        text = before = path.read_text(encoding="utf-8")
        for section, key, value in settings:
            if value is None:
                _, old = set_option(text, section, key, "")
                if old and len(old.encode()) >= SECRET_BYTES:
                    continue
                value = secrets.token_urlsafe(SECRET_BYTES)
                shown = "(a new secret)"
            else:
                shown = value
            text, old = set_option(text, section, key, value)
            if old != value.replace("%", "%%"):
                print(f"   [{section}] {key} = {shown}")
        if text == before:
            print(f"   {path}: nothing to change")
            return 0
        # Write beside it and rename: whoever reads the file sees the old one or the new one.
        new = path.with_name(path.name + ".new")
        try:
            new.touch(mode=0o600)
            new.write_text(text, encoding="utf-8")
            os.replace(new, path)
        finally:
            if new.exists():
                new.unlink()
    except KeyError as error:
        print(
            f"set_config.py: {path}: no section [{error.args[0]}]; is it Airflow's own file?",
            file=sys.stderr,
        )
        return 1
    except (OSError, UnicodeDecodeError) as error:
        print(
            f"set_config.py: {path}: {error}; to begin anew, delete it and run: make config",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
