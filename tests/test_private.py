"""What the kit relies on without a promise of Airflow's: docs/private-interfaces.md."""

import re

import pytest
from support.checkouts import PROJECT

ROW = re.compile(r"^\| .+ \| `([\w./]+)` \| `(.+)` \| `([\w.-]+)` \|$", re.MULTILINE)
ROWS = ROW.findall((PROJECT / "docs/private-interfaces.md").read_text())


@pytest.mark.parametrize(("file", "words", "_ours"), ROWS)
def test_airflow_still_has_it(pytestconfig, file, words, _ours):
    env = PROJECT / ".sandbox" / pytestconfig.getoption("--edition") / "env"
    (found,) = env.glob(f"lib/python3*/site-packages/airflow/{file}")
    assert words in found.read_text().replace("{%%", "{%"), found


def test_each_row_names_a_file_of_the_kit():
    names = {path.name for path in (PROJECT / "libexec").rglob("*")}
    assert len(ROWS) > 25
    assert {ours for _, _, ours in ROWS} <= names
