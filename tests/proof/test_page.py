"""docs/PROOF.md is what the reports say, and each report is one of a run."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

import pytest

from tests.proof import page
from tests.proof.__main__ import proof
from tests.proof.report import REPORTS

FILES = sorted(REPORTS.glob("*.json"))


def test_page_is_drawn_from_the_reports() -> None:
    assert (REPORTS.parent / "PROOF.md").read_text() == page.draw(), (
        "renew it: python -m tests.proof page"
    )


def test_there_are_reports() -> None:
    assert {path.stem for path in FILES} <= set(page.ORDER)
    assert FILES


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_report_is_whole(path: Any) -> None:
    told = json.loads(path.read_text())
    assert told["name"] == path.stem
    assert re.fullmatch(r"[0-9a-f]{40}\+?", told["commit"])
    assert datetime.fromisoformat(told["date"]).tzinfo is not None
    assert {"processors", "memory_gib", "python", "build", "load"} <= told["machine"].keys()
    assert told["seeds"]
    assert len(set(told["seeds"])) == len(told["seeds"])
    assert told["seconds"] > 0
    assert (told["verdict"] == "lost") == bool(told["lost"])
    assert all(isinstance(number, int | float) for number in told["done"].values())
    assert told["promise"] == proof(path.stem).promise, "the promise is not what was proven"


@pytest.mark.parametrize("name", page.ORDER)
def test_every_proof_has_a_name_a_bound_and_a_promise(name: str) -> None:
    it = proof(name)
    assert it.name == name
    assert it.count > 0
    assert 0 < it.seconds <= 3600
    assert it.promise[0].islower()
    assert not it.promise.endswith(".")
