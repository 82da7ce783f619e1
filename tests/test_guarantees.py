"""docs/guarantees.md says what the tests say."""

from support.guarantees import DOCUMENT, guarantees, rendered, sections


def test_the_tables_are_those_of_the_tests():
    text = DOCUMENT.read_text()
    command = "bin/sandbox python tests/support/guarantees.py"
    assert rendered(text) == text, f"it is out of date; render it again: {command}"


def test_every_guarantee_has_its_section_and_every_section_its_guarantees():
    assert sorted(sections(DOCUMENT.read_text())) == sorted(guarantees())
    assert sum(map(len, guarantees().values())) > 90
