"""The exercises: what their files say, and the learner's copies of them."""

import itertools
import os
import re
import shlex
import shutil
import textwrap
from pathlib import Path

from airflow_sandbox.commands import make_command
from airflow_sandbox.errors import UserError
from airflow_sandbox.paths import shown

ROOT = Path(__file__).resolve().parents[2]
MINE = ROOT / "my-exercises"
FIELD = re.compile(
    r"^(Run|Why|After|Returns|Leave|Log of (\w+) of ([\d-]+)): (.*(?:\n +.*)*)", re.MULTILINE
)
# In a progress line, `finished run 3 of 3` and `failed: 0`; all other numbers are like the latter.
DOCSTRING = re.compile(r'"""(.*?)"""', re.DOTALL)
NUMBER = re.compile(r"(finished run|\bof|[a-z][\w .*-]*:) +(\d+|\?)")
ITEM = re.compile(r"\d+\. ")
LABELS = {"finished run": "finished runs", "of": "DAG runs"}


def numbers_in(text):
    """Return the numbers of a prediction, or of a progress line, as {name: text}."""
    found = NUMBER.findall(text)
    return {name.rstrip(":"): number.lstrip("0") or "0" for name, number in found}


class Notes:
    """What the docstring of a DAG file says.

    runs: commands, lists of words. numbers: {name: text}, a number or a question mark. logs:
    [(task, day, what its log has to say)], where what is in [] is not told. after: [(task, the one
    that has to end before it starts)]. returns: tasks that have to return a value. leave_code:
    whether the code has to stay as it was. why: what there was to learn.
    """

    def __init__(self, file):
        docstring = DOCSTRING.search(file.read_text("utf-8", "replace"))
        text = docstring[1] if docstring else ""
        fields = FIELD.findall(text)
        try:
            self.runs = [shlex.split(value) for name, *_, value in fields if name == "Run"]
        except ValueError as error:
            raise UserError(f"{shown(file)}: its Run: line: {error}") from error
        if not self.runs or not all(self.runs):
            raise UserError(f"{shown(file)} does not say what to run; RESET=1 brings that back")
        self.logs = [(task, day, value) for _, task, day, value in fields if task]
        self.returns = [value for name, *_, value in fields if name == "Returns"]
        self.leave_code = any(name == "Leave" for name, *_ in fields)
        self.after = [value.split() for name, *_, value in fields if name == "After"]
        self.why = " ".join(" ".join(value.split()) for name, *_, value in fields if name == "Why")
        self.numbers = numbers_in(text.partition("rediction:")[2])


def wrapped(page, width):
    """Return a page whose paragraphs and list items are broken to fit into so many columns."""
    done, paragraph, is_code = [], [], False

    def flush():
        text = " ".join(" ".join(paragraph).split())
        indent = "   " if ITEM.match(text) else ""
        done.extend(textwrap.wrap(text, width - 1, subsequent_indent=indent))
        paragraph.clear()

    for line in page.splitlines():
        is_code ^= line.startswith("```")
        if is_code or not line or line.startswith(("```", "    ", "#")):
            flush()
            done.append(line)
        else:
            if ITEM.match(line):
                flush()
            paragraph.append(line)
    flush()
    return "\n".join(done)


def code_of(file):
    """Return the text of a DAG file without its docstring."""
    return file.read_text("utf-8", "replace").split('"""', 2)[-1]


class Exercise:
    """A folder of exercises/, and the learner's copy of it."""

    def __init__(self, folder):
        self.folder, self.name, self.number = folder, folder.name, int(folder.name[:2])
        self.dag_id = self.name[3:].replace("-", "_")
        self.copy = MINE / self.name
        self.file = self.copy / "dag.py"
        self.solution = MINE / f"{self.name}.solution" / "dag.py"  # as deep as the learner's
        self.again = make_command("exercise", N=self.number)
        text = (folder / "README.md").read_text(encoding="utf-8")
        page, _, hint = text.partition("\n## Hint\n")
        self.page = page.strip()
        self.hint = " ".join(hint.split())
        self.title = self.page.partition("\n")[0].partition(". ")[2]

    def __str__(self):
        return f"   {self.number:>2}  {self.title:<60} {self.state()}".rstrip()

    def state(self):
        """Return how far the learner is: passed, begun, or nothing."""
        if (self.copy / "passed.txt").exists():
            return "passed"
        return "begun" if self.file.exists() else ""

    def place(self, name, folder):
        """Copy a file of the exercise, to be the only DAG file of a folder of the learner's.

        One that is there and differs is kept; returns its new path, or None.
        """
        folder.mkdir(parents=True, exist_ok=True)
        new, file, kept = self.folder / name, folder / "dag.py", None
        if file.exists() and file.read_bytes() != new.read_bytes():
            # No .py at the end: Airflow is not to read it.
            names = (folder / f"dag.py.kept-{number}" for number in itertools.count(1))
            kept = file.rename(next(name for name in names if not name.exists()))
        shutil.copyfile(new, file)
        return kept


def all_exercises():
    """Return the exercises that run on this edition, in their order."""
    runs_here = re.compile(rf"^Editions:.*\b{os.environ['GENERATION']}\b", re.MULTILINE)
    files = sorted((ROOT / "exercises").glob("[0-9][0-9]-*/solution.py"))
    return [Exercise(file.parent) for file in files if runs_here.search(file.read_text("utf-8"))]
