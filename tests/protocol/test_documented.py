"""What no document of the vendor's lists is named, the first of its kind."""

from __future__ import annotations

from typing import Any

import pytest

from app.protocol.actions import Count
from app.protocol.documented import has_known_members, unknown_parts


@pytest.mark.parametrize(
    ("frame", "unknown"),
    [
        ({"type": "text", "content": {}, "timestamp": "t", "channelId": None}, None),
        ({"type": "event", "name": "opened", "data": {}}, None),
        ({"type": "surprise", "more": 1}, "unknown_type"),
        ({"type": "text", "more": 1}, "unknown_field"),
        ({"type": "event", "name": "surprise"}, "unknown_event"),
        ({"type": "event", "name": ["opened"]}, "unknown_event"),
        ({"type": "event"}, "unknown_event"),
    ],
)
def test_the_first_unknown_part_is_counted(frame: dict[str, Any], unknown: str | None) -> None:
    expected = () if unknown is None else (Count(unknown),)
    assert unknown_parts(frame["type"], frame) == expected


def test_members_are_known_by_their_names() -> None:
    assert has_known_members({"type": "text", "devRequest": 1})
    assert not has_known_members({"type": "text", "devrequest": 1})
