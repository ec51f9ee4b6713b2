"""Each decision of the README names the test that holds it."""

from __future__ import annotations

import re

from tests.support.gateway import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
SECTION = README.partition("## Decisions\n")[2].partition("\n## ")[0]
ROWS = [line for line in SECTION.splitlines() if line.startswith("| ")][1:]
HELD_BY = re.compile(r"\| `(tests/[\w/]+\.py)`(?: `(\w+)`)? \|$")


def test_there_are_decisions() -> None:
    assert len(ROWS) > 15


def test_each_decision_names_a_test_that_is_there() -> None:
    for row in ROWS:
        held = HELD_BY.search(row)
        assert held, row
        path, name = held.groups()
        source = (ROOT / path).read_text(encoding="utf-8")
        assert name is None or re.search(rf"^(async def |def )?{name}\b", source, re.MULTILINE), row
