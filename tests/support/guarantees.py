"""docs/guarantees.md says what the kit guarantees; its tables are rendered from the tests.

    bin/sandbox python tests/support/guarantees.py

writes them: a row for each @guarantee(section, cell, ...) of a test, with the test's name in the
last column. test_guarantees.py fails when the document is not up to date.
"""

import ast
import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
DOCUMENT = PROJECT / "docs/guarantees.md"
TABLE = re.compile(r"(<!-- rows of: (?P<section>.+) -->\n(?:\|.*\n){2})(?:\|.*\n)*")


def guarantee(_section, *_cells):
    """Mark a test as the proof of a row in a section's table. Changes nothing in the test."""
    return lambda test: test


def guarantees():
    """Return {section: {the row's cells, a tuple: [names of its tests]}}, in the tests' order."""
    found = {}
    for file in sorted((PROJECT / "tests").glob("test_*.py")):
        for node in ast.parse(file.read_text()).body:
            for mark in getattr(node, "decorator_list", []):
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "guarantee":
                    section, *cells = map(ast.literal_eval, mark.args)
                    rows = found.setdefault(section, {})
                    rows.setdefault(tuple(cells), []).append(f"{file.name}::{node.name}")
    return found


def rendered(text):
    """Return the document's text with the rows that belong there."""

    def table(found):
        rows = guarantees()[found["section"]]
        lines = [
            " | ".join(
                [
                    *(cell.replace("|", r"\|") for cell in cells),
                    ", ".join(f"`{name}`" for name in names),
                ]
            ).join(["| ", " |\n"])
            for cells, names in rows.items()
        ]
        return found[1] + "".join(lines)

    return TABLE.sub(table, text)


def sections(text):
    """Return the sections that the document has tables for."""
    return [found["section"] for found in TABLE.finditer(text)]


if __name__ == "__main__":
    DOCUMENT.write_text(rendered(DOCUMENT.read_text()))
