"""The README, read by a machine."""

import re

from support.checkouts import PROJECT

README = (PROJECT / "README.md").read_text()

BLOCK = re.compile(r"^```(bash|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def readme_steps():
    """Return [(command, what it is expected to print, or None)] of the README, in its order."""
    steps = []
    for kind, text in BLOCK.findall(README):
        if kind == "bash":
            steps += [(line.split("#")[0].strip(), None) for line in text.splitlines()]
        else:
            # Of the first block's two commands, it is the first that ends like this.
            at = 0 if len(steps) == 2 else -1
            steps[at] = (steps[at][0], text)
    return steps
