"""The threat model is true: each of its rows names a mechanism and a test, and both exist."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from tests.support.gateway import ROOT

THREATS = (ROOT / "docs" / "THREATS.md").read_text(encoding="utf-8")
HEADER = "| may try to | is held back by | proven by |"
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)(?:\[[^\]]*\])?`")
# A path with a folder, or a file of the root that is known by its name alone.
SOURCE = re.compile(
    r"`((?:app|blackbox_relay|deploy|docs)/[\w./-]+|[\w.]*(?:file|ignore|\.py|\.txt))`"
)
SECTIONS = re.split(r"^## ", THREATS, flags=re.MULTILINE)[1:]
ROWS = [
    (section.partition("\n")[0], *row)
    for section in SECTIONS
    for row in re.findall(r"^\| (.+?) \| (.*?) \| (.*?) \|$", section, re.MULTILINE)
    if row != tuple(part.strip() for part in HEADER.strip("| ").split("|")) and row[0] != "---"
]


@cache
def functions(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, kinds))


def test_every_line_of_a_table_is_a_row() -> None:
    lines = [line for line in THREATS.splitlines() if line.startswith("|")]
    heads = lines.count(HEADER)
    assert heads == len(SECTIONS) - 1  # all but what is not protected
    assert len(lines) == len(ROWS) + 2 * heads
    assert len(ROWS) > 60


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0][:20]}: {row[1][:40]}")
def test_a_row_names_a_mechanism_and_a_test_that_exist(row: tuple[str, str, str, str]) -> None:
    _, attempt, mechanism, proof = row
    assert attempt
    sources = SOURCE.findall(mechanism)
    assert sources, "no file carries the mechanism"
    assert [path for path in sources if not (ROOT / path).exists()] == []
    tests = NAMED.findall(proof)
    assert tests, "no test proves it"
    assert NAMED.sub("", proof).strip() == ""
    assert [f"{path}::{name}" for path, name in tests if name not in functions(path)] == []


def test_what_is_not_protected_is_said() -> None:
    title, _, told = SECTIONS[-1].partition("\n")
    assert title == "What is not protected"
    assert len(re.findall(r"^- \*\*", told, re.MULTILINE)) >= 10
