"""The exercises: the solutions pass, and what the pages say comes true.

With --edition 2, three of the solutions: one that fails, one that waits, one with a branch.
"""

import re

import pytest
from airflow_sandbox.exercises import Notes, numbers_in
from support.exercises import FOLDERS, NUMBERS, copy_of, exercise, predict
from support.pages import READY, Served
from support.walk import BLOCK, pattern, steps_of


def editions(number):
    text = (FOLDERS[number - 1] / "solution.py").read_text()
    return re.search(r"^Editions: (.*)$", text, re.MULTILINE)[1].split()


def what_runs(number, name):
    """Return a DAG file of an exercise without its docstring, and the commands in that."""
    file = FOLDERS[number - 1] / name
    return file.read_text().split('"""', 2)[2], Notes(file).runs


ON_EDITION_2 = (3, 5, 7)
# There is nothing to fix in these, only to predict.
ONLY_PREDICTED = [
    number for number in NUMBERS if what_runs(number, "dag.py") == what_runs(number, "solution.py")
]


@pytest.fixture(scope="module")
def checkout(new_checkout):
    """A checkout in which servers for the exercises are running."""
    checkout = new_checkout()
    served = Served(checkout, READY, "N=1") if checkout.generation == "3" else None
    yield checkout
    if served:
        served.stop()


def test_each_has_a_page_of_a_screen_and_asks_for_the_numbers_that_the_solution_has():
    assert list(range(1, len(NUMBERS) + 1)) == NUMBERS and len(NUMBERS) >= 12
    for number, folder in zip(NUMBERS, FOLDERS, strict=True):
        page = (folder / "README.md").read_text()
        assert page.startswith(f"# {number}. ") and page.count("\n") <= 40, folder
        assert page.index("\n## What to do\n") < page.index("\n## Hint\n")
        assert f"`my-exercises/{folder.name}/dag.py`" in page
        assert [command for command, _ in steps_of(page)] == [f"make exercise N={number}"]
        assert (number in ONLY_PREDICTED) == ("There is nothing to fix here." in page)
        asked, solved = Notes(folder / "dag.py"), Notes(folder / "solution.py")
        assert list(asked.numbers) == list(solved.numbers)
        given = {name for name, text in asked.numbers.items() if text != "?"}
        assert given == ({"tasks waiting", "running"} if number > 1 else set())  # always 0
        assert "?" not in solved.numbers.values()
        assert solved.why and "3" in editions(number)
        # Edition 2 shows less of the line on the way, and has no airflow.sdk and no triggerer. From
        # 16 on, most are about what Airflow 3 has brought.
        assert ("2" in editions(number)) == (number < 16 and number not in (8, 10, 11, 12, 13))
        assert "```text\n" in page


def test_every_count_of_the_line_is_seen_at_work():
    solutions = [Notes(folder / "solution.py").numbers for folder in FOLDERS]
    # What waits and what runs is 0 at the end of each of them.
    asked = {name for numbers in solutions for name, number in numbers.items() if number != "0"}
    line = numbers_in((FOLDERS[0] / "dag.py").read_text().partition("prediction:")[2])
    assert asked >= {*line, "most running at once", "tries of fetch"} - {"tasks waiting", "running"}
    assert max(int(numbers["succeeded"]) for numbers in solutions) > 20


@pytest.mark.slow
@pytest.mark.xdist_group(__name__)  # they share servers
@pytest.mark.parametrize("number", NUMBERS, ids=[folder.name for folder in FOLDERS])
def test_its_solution_passes_and_its_page_is_right(checkout, number):
    """An original runs if its page quotes what only the original prints; it must not pass."""
    if checkout.generation != "3" and number not in ON_EDITION_2:
        return
    assert checkout.generation in editions(number)
    printed = exercise(checkout, number, "SOLUTION=1").stdout
    assert "\nPassed. " in printed, printed
    page = (FOLDERS[number - 1] / "README.md").read_text()
    page = page.replace(".sandbox/3-", f".sandbox/{checkout.edition}-")
    quoted = [pattern(block) for kind, block in BLOCK.findall(page) if kind == "text"]
    left = [text for text in quoted if not re.search(text, printed)]
    if left and checkout.generation == "3":
        assert number not in ONLY_PREDICTED, left
        exercise(checkout, number, "RESET=1")
        predict(checkout, number)
        printed = exercise(checkout, number).stdout
        assert "What is asked for: not yet." in printed, printed
        assert f"   next: edit my-exercises/{FOLDERS[number - 1].name}/dag.py, then:" in printed
        assert all(re.search(text, printed) for text in left), printed
    assert not copy_of(checkout, number).with_name("passed.txt").exists()


@pytest.mark.slow
@pytest.mark.xdist_group(__name__)
@pytest.mark.parametrize(
    ("number", "right", "wrong", "why"),
    [
        (
            4,
            'echo stopping"',
            'echo stopping", trigger_rule="always"',
            "begin when train has ended",
        ),
        (8, "catchup=False", "catchup=False, max_active_tasks=2", "pool warehouse: it was 0,"),
        (10, "PRICES = []", "PRICES = [3, 4, 5]", "fetch should return a value"),
        (12, '{"models": 3}', '{"models": 10}', "the code should stay as it was"),
    ],
)
def test_an_answer_with_the_right_line_that_is_not_what_the_page_asks_for(
    checkout, number, right, wrong, why
):
    if checkout.generation != "3":
        return
    exercise(checkout, number, "RESET=1")
    file = copy_of(checkout, number)
    assert right in file.read_text()
    file.write_text(file.read_text().replace(right, wrong))
    predict(checkout, number)
    printed = exercise(checkout, number).stdout
    assert "\nWhat is asked for: not yet.\n" in printed, printed
    assert why in printed
