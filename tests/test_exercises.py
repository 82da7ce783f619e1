"""The exercises: the solutions pass, the originals do not, and what the pages say comes true.

With --edition 2, the solutions of those that run there.
"""

import re

import pytest
from airflow_sandbox.exercises import Notes, numbers_in
from support.exercises import FOLDERS, NUMBERS, copy_of, exercise, predict
from support.groups import in_two_groups
from support.walk import BLOCK, pattern, steps_of


def editions(number):
    text = (FOLDERS[number - 1] / "solution.py").read_text()
    return re.search(r"^Editions: (.*)$", text, re.MULTILINE)[1].split()


def what_runs(number, name):
    """Return a DAG file of an exercise without its docstring, and the commands in that."""
    file = FOLDERS[number - 1] / name
    return file.read_text().split('"""', 2)[2], Notes(file).runs


# There is nothing to mend in these, only to predict.
ONLY_PREDICTED = [
    number for number in NUMBERS if what_runs(number, "dag.py") == what_runs(number, "solution.py")
]


@pytest.fixture(scope="module")
def checkout(new_checkout):
    checkout = new_checkout()
    checkout.succeed("config")
    return checkout


def test_each_has_a_page_of_a_screen_and_asks_for_the_numbers_that_the_solution_has():
    assert list(range(1, len(NUMBERS) + 1)) == NUMBERS and len(NUMBERS) >= 12
    for number, folder in zip(NUMBERS, FOLDERS, strict=True):
        page = (folder / "README.md").read_text()
        assert page.startswith(f"# {number}. ") and page.count("\n") <= 40, folder
        assert page.index("\n## What to do\n") < page.index("\n## Hint\n")
        assert f"`my-exercises/{folder.name}/dag.py`" in page
        assert [command for command, _ in steps_of(page)] == [f"make exercise N={number}"]
        assert (number in ONLY_PREDICTED) == ("There is nothing to mend here." in page)
        asked, solved = Notes(folder / "dag.py"), Notes(folder / "solution.py")
        assert list(asked.numbers) == list(solved.numbers)
        given = {name for name, text in asked.numbers.items() if text != "?"}
        assert given == ({"tasks waiting", "running"} if number > 1 else set())  # always 0
        assert "?" not in solved.numbers.values()
        assert solved.why and "3" in editions(number)


def test_every_count_of_the_line_is_seen_at_work():
    solutions = [Notes(folder / "solution.py").numbers for folder in FOLDERS]
    # What waits and what runs is 0 at the end of each of them.
    asked = {name for numbers in solutions for name, number in numbers.items() if number != "0"}
    line = numbers_in((FOLDERS[0] / "dag.py").read_text().partition("prediction:")[2])
    assert asked >= {*line, "most running at once", "tries of fetch"} - {"tasks waiting", "running"}
    assert max(int(numbers["succeeded"]) for numbers in solutions) > 20


@pytest.mark.slow
@pytest.mark.parametrize(
    "number", in_two_groups("exercises", NUMBERS, [folder.name for folder in FOLDERS])
)
def test_its_solution_passes_and_the_original_does_not(checkout, number):
    if checkout.edition not in editions(number):
        # Its line shows less on the way, and it has no airflow.sdk and no triggerer of ours.
        assert number in (8, 10, 11, 12, 13)
        return
    solved = exercise(checkout, number, "SOLUTION=1")
    assert solved.returncode == 0 and "\nPassed. " in solved.stdout, solved.stdout
    assert not copy_of(checkout, number).with_name("passed.txt").exists()
    if checkout.edition != "3":
        return
    shipped = ""
    if number not in ONLY_PREDICTED:
        exercise(checkout, number, "RESET=1")
        predict(checkout, number)
        outcome = exercise(checkout, number)
        shipped = outcome.stdout
        assert outcome.returncode == 0 and "What is asked for: not yet." in shipped, shipped
        assert f"   next: edit my-exercises/{FOLDERS[number - 1].name}/dag.py, then:" in shipped
        assert not copy_of(checkout, number).with_name("passed.txt").exists()
    page = (FOLDERS[number - 1] / "README.md").read_text()
    expected = [block for kind, block in BLOCK.findall(page) if kind == "text"]
    assert expected
    for block in expected:
        printed = solved.stdout, shipped
        assert any(re.search(pattern(block), text) for text in printed), "\n".join(printed)
