"""The exercises, as a learner does them: with a copy, and with numbers at its top."""

import re

from airflow_sandbox.exercises import Notes
from support.checkouts import PROJECT

FOLDERS = sorted((PROJECT / "exercises").glob("[0-9][0-9]-*"))
NUMBERS = [int(folder.name[:2]) for folder in FOLDERS]


def exercise(checkout, number, *arguments):
    """Run make exercise; return its subprocess.CompletedProcess, all output in stdout."""
    outcome = checkout.make("exercise", f"N={number}", *arguments)
    outcome.stdout += outcome.stderr
    return outcome


def copy_of(checkout, number):
    return checkout.path / "my-exercises" / FOLDERS[number - 1].name / "dag.py"


def predict(checkout, number, **changes):
    """Write the numbers of the solution at the top of the learner's copy, some of them changed."""
    numbers = {**Notes(FOLDERS[number - 1] / "solution.py").numbers, **changes}
    file = copy_of(checkout, number)
    head, docstring, code = file.read_text().split('"""', 2)
    given = iter(numbers.values())
    filled = re.sub(r"(?<=[ :])(\?|\d+)(?=[ \n])", lambda _: next(given), prediction(docstring))
    file.write_text('"""'.join([head, docstring.replace(prediction(docstring), filled), code]))


def prediction(docstring):
    return docstring[docstring.index("My prediction:") :]
