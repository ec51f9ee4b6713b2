"""Names, docstrings and comments speak the terms of the field, not of this code's past."""

from __future__ import annotations

import re
import tokenize
from typing import TYPE_CHECKING

import pytest

from tests.support.gateway import ROOT

if TYPE_CHECKING:
    from pathlib import Path

# Words for persons where a program has clients, peers, handlers, replicas, callers.
PERSONS = re.compile(r"nobody|whoever|somebody|anybody", re.IGNORECASE)
# Names of the past, as whole words of an identifier (`_` and camel case part them).
PAST = frozenset(
    (
        *("goodbye", "doorkeeper", "switchboard", "courier", "nobody", "debts", "pulse", "wish"),
        *("lane", "departed", "wiring", "minting", "glance", "bag", "newcomer", "toolbox"),
        *("sidedoor", "turndown", "strangers", "doom", "enveloped", "strikes", "wished"),
        *("lingering", "overtaken", "happening", "hurry", "tally", "grade"),
    )
)
PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
SOURCES = [
    path
    for package in ("app", "blackbox_relay")
    for pattern in ("*.py", "*.pxd")
    for path in sorted((ROOT / package).rglob(pattern))
]


def person_words(text: str) -> list[str]:
    return PERSONS.findall(text)


def past_names(path: Path) -> set[str]:
    with tokenize.open(path) as source:
        names = {t.string for t in tokenize.generate_tokens(source.readline) if t.type == 1}
    return {n for n in names if PAST & {part.lower() for part in PARTS.findall(n)}}


def test_the_search_sees_both_kinds(tmp_path: Path) -> None:
    sample = tmp_path / "sample.py"
    sample.write_text("class Wishes: ...\ndef say_goodbye(): ...\nNOBODY_IS = 1  # whoever\n")
    assert person_words(sample.read_text()) == ["NOBODY", "whoever"]
    assert past_names(sample) == {"say_goodbye", "NOBODY_IS"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_source_speaks_of_programs(path: Path) -> None:
    assert person_words(path.read_text(encoding="utf-8")) == []
    if path.suffix == ".py":
        assert past_names(path) == set()
