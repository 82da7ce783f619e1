"""Documents, read by a machine: their commands are typed, their expected output is expected."""

import re

from support.checkouts import PROJECT
from support.pages import Served

README = (PROJECT / "README.md").read_text()

BLOCK = re.compile(r"^```(bash|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# What differs from run to run, and the pattern that it has to match.
VARYING = [
    (r"\d{4}-\d\d-\d\d", r"\\d{4}-\\d\\d-\\d\\d"),
    (r"T\d\d:\d\d:\d\d", r"T\\d\\d:\\d\\d:\\d\\d"),
    (r"done\\ in\\ \d+\\ s", r"done in \\d+ s"),
    (r"\\-\\-port\\ \d+", r"--port \\d+"),
    (r"127\\.0\\.0\\.1:\d+", r"127\\.0\\.0\\.1:\\d+"),
]


def steps_of(text):
    """Return [(command, what it is expected to print, or None)] of a document, in its order."""
    steps = []
    for kind, block in BLOCK.findall(text):
        if kind == "bash":
            steps += [(line.split("#")[0].strip(), None) for line in block.splitlines()]
        else:
            steps[-1] = (steps[-1][0], block)
    return steps


def readme_steps():
    """Return those of the README."""
    steps = steps_of(README)
    # Of the first block's two commands, it is the first that ends like this.
    (first, _), (second, expected) = steps[:2]
    return [(first, expected), (second, None), *steps[2:]]


def pattern(expected):
    """Return a regular expression for a block of expected output.

    A line of `...` stands for any lines, and `...` in a line for the rest of it.
    """
    lines = []
    for line in expected.splitlines():
        if line == "...":
            lines.append(r"(?:.*\n)*?")
            continue
        line = re.escape(line).replace(re.escape("..."), ".*").replace(r"\-", "-")
        for found, wanted in VARYING:
            line = re.sub(found.replace(r"\\-", "-"), wanted, line)
        lines.append(line + r"\n")
    return "".join(lines)


def walk(checkout, steps, request):
    """Type the commands of a document in a checkout, and hold what they print against it."""
    serving = None
    for command, expected in steps:
        if command.startswith("make ui"):  # it goes on, and what is expected are its last lines
            serving = Served(checkout, expected.splitlines()[-1].strip(), *command.split()[2:])
            request.addfinalizer(lambda: checkout.make("stop"))
            printed = serving.output
        else:
            outcome = checkout.run("bash", "-c", f"{command} 2>&1")
            assert outcome.returncode == 0, f"$ {command}\n{outcome.stdout}"
            printed = outcome.stdout
        wanted = pattern(expected or "") + (r"\Z" if command == "make all" else "")
        assert re.search(wanted, printed), f"$ {command}\n{printed}\nwas expected to be\n{expected}"
    if serving:
        output, _ = serving.make.communicate(timeout=60)
        assert "all servers have been ended" in output
