"""The documents, read by a machine: their commands are typed, their expected output is expected."""

import re

import pytest
from support.checkouts import PROJECT
from support.lines import verbs
from support.walk import README, readme_steps, steps_of, walk

DOCUMENTS = sorted(
    str(path.relative_to(PROJECT))
    for pattern in ("*.md", "docs/*.md", "bench/*.md", "exercises/**/README.md")
    for path in PROJECT.glob(pattern)
)


# What a reader types and this walk does not: the proof that these do what the README says of them.
ELSEWHERE = {
    "make verify": "it runs this test",
    "make all EDITION=2": "test_end_to_end.py, of that edition",
    "make all EDITION=1.10": "test_end_to_end.py, of that edition",
}


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_readme_and_then_the_page_of_the_ui_can_be_followed(new_checkout, request):
    steps = [step for step in readme_steps() if step[0] not in ELSEWHERE]
    assert len(steps) > 10
    ui = steps_of((PROJECT / "docs/ui.md").read_text())
    assert [command for command, _ in ui] == ["make ui", "make backfill", "make stop"]
    walk(new_checkout(), steps + ui, request)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("page", ["your-own-dag", "without-servers"])
def test_the_pages_with_a_dag_of_ones_own_can_be_followed(new_checkout, request, page):
    text = (PROJECT / f"docs/{page}.md").read_text()
    checkout = new_checkout()
    name = re.search(r"[Ss]ave this as `(dags/\w+\.py)`", text)[1]
    code = re.search(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[1]
    (checkout.path / name).write_text(code)
    checkout.succeed("initdb")
    steps = [step for step in steps_of(text) if step[0] not in ("make ui DAG=first", "make stop")]
    walk(checkout, steps, request)  # test_options.py and test_ui.py type these


@pytest.mark.slow
@pytest.mark.parametrize("page", ["testing", "day-two"])
def test_the_pages_that_begin_with_a_new_dag_can_be_followed(new_checkout, request, page):
    checkout = new_checkout()
    text = (PROJECT / f"docs/{page}.md").read_text()
    walk(checkout, steps_of(text), request)
    if page == "day-two":  # the task that was cleared ran again
        logs = checkout.home / "logs/dag_id=sales/run_id=backfill__2024-01-02T00:00:00+00:00"
        assert (logs / "task_id=extract/attempt=2.log").exists()
    else:
        code = re.search(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[1]
        assert code in (checkout.path / "tests/dags/test_sales.py").read_text()


def test_the_first_screen_is_two_commands():
    first_screen = README[: README.index("## Then and now")]
    assert "".join(re.findall(r"^make .*\n", first_screen, re.MULTILINE)).count("\n") == 2
    assert [command for command, _ in readme_steps()[:2]] == ["make all", "make verify"]


def table():
    """Return the table of commands, [{column: cell}]."""
    lines = README[README.index("| step |") :].split("\n\n")[0].splitlines()
    head, _, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    return [dict(zip(head, row, strict=True)) for row in rows]


def test_todays_commands_in_the_table_are_those_that_run(finished):
    days = re.sub(r"\d{4}-\d\d-\d\d(T[\d:]+\+00:00)?", "DATE", finished.all.stdout)
    announced = "\n".join(re.findall(r"^ *\$ (?:bin/sandbox )?(.*)", days, re.MULTILINE))
    for row in table():
        for command in re.findall("`([^`]+)`", row["`EDITION=3`, today"]):
            assert command in announced
        target = re.fullmatch(r"`make ([a-z-]+)`", row["here"])[1]
        assert finished.make("-n", target).returncode == 0


@pytest.mark.parametrize(
    ("edition", "column"), [("1.10", "`EDITION=1.10`, as in 2019"), ("2", "`EDITION=2`")]
)
def test_the_older_commands_in_the_table_are_those_of_the_editions(edition, column):
    commands = verbs(edition).values()
    for row in table():
        for command in re.findall("`([^`]+)`", row[column]):
            command = command.removesuffix(" -s DATE -e DATE")  # which the Makefile adds
            assert any(command in line for line in commands), command


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_the_documents_name_is_there(finished, document):
    text = (PROJECT / document).read_text()
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (PROJECT / document).parent.joinpath(target).exists(), target
    targets = set(re.findall(r"`make ([a-z-]+)", text)) | set(
        re.findall(r"^make ([a-z-]+)", text, re.MULTILINE)
    )
    known = set(re.findall(r"^  make ([\w-]+)", finished.make("help").stdout, re.MULTILINE))
    assert targets <= known
