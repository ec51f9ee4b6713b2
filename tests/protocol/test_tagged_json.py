"""Dataclasses as tagged JSON objects."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from app.protocol.tagged_json import TaggedJson


@dataclass(frozen=True)
class Move:
    place: str
    steps: int = 1


@dataclass(frozen=True)
class Note:
    data: dict[str, Any] = field(default_factory=dict)


JSON: TaggedJson[Move | Note] = TaggedJson(
    "do", {"move": Move, "note": Note}, {"steps": int, "data": dict}
)


@pytest.mark.parametrize("value", [Move("a"), Move("b", 7), Note({"x": [1]})])
def test_what_is_written_is_read(value: Move | Note) -> None:
    assert JSON.read(JSON.write(value)) == value


def test_an_object_names_its_kind() -> None:
    assert JSON.write(Move("a")) == {"do": "move", "place": "a", "steps": 1}
    assert JSON.name_of(Note()) == "note"


def test_an_earlier_release_s_object_has_the_default() -> None:
    assert JSON.read({"do": "move", "place": "a"}) == Move("a", 1)


@pytest.mark.parametrize(
    "document",
    [
        *(None, [], "move", {}),
        {"do": "fly", "place": "a"},
        {"do": ["move"], "place": "a"},
        {"do": "move"},
        {"do": "move", "place": 1},
        {"do": "move", "place": "a", "steps": "2"},
        {"do": "move", "place": "a", "steps": True},
        {"do": "note"},
        {"do": "note", "data": None},
    ],
    ids=str,
)
def test_what_is_no_object_of_the_set_is_none(document: object) -> None:
    assert JSON.read(document) is None
