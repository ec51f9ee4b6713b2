"""What a `text` frame says, wherever the vendor puts it, and another text in its place."""

from __future__ import annotations

from typing import Any

import pytest

from app.protocol.texts import ASSISTANT, USER, spoken_in


@pytest.mark.parametrize(
    ("frame", "source", "text"),
    [
        ({"content": {"source": "assistant", "text": "Hi"}}, ASSISTANT, "Hi"),
        ({"content": {"source": "User", "text": "Hi"}}, USER, "Hi"),
        ({"content": {"speaker": "customer", "text": "Hi"}}, USER, "Hi"),
        ({"content": {"text": "Hi"}}, ASSISTANT, "Hi"),
        ({"content": "Hi"}, ASSISTANT, "Hi"),
        ({"content": "Hi", "source": "user"}, USER, "Hi"),
        ({"data": {"text": "Hi", "role": "human"}}, USER, "Hi"),
        ({"data": "Hi"}, ASSISTANT, "Hi"),
        ({"text": "Hi"}, ASSISTANT, "Hi"),
        ({"content": {"source": "user"}, "text": "Hi"}, USER, "Hi"),
        ({"content": {"source": 7, "text": "Hi"}}, ASSISTANT, "Hi"),
    ],
)
def test_the_text_is_read_and_replaced_where_it_stands(
    frame: dict[str, Any], source: str, text: str
) -> None:
    whole = {"type": "text", "extra": 1, **frame}
    spoken = spoken_in(whole)
    assert spoken is not None
    assert (spoken.source, spoken.text, spoken.partial) == (source, text, False)
    replaced = spoken.replaced(whole, "Ho")
    again = spoken_in(replaced)
    assert again is not None
    assert (again.source, again.text) == (source, "Ho")
    assert again.replaced(replaced, text) == whole


def test_a_partial_text_is_told_apart() -> None:
    spoken = spoken_in({"type": "text", "content": {"text": "H", "type": "potential"}})
    assert spoken is not None
    assert spoken.partial


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "event", "content": {"text": "Hi"}},
        {"type": "text"},
        {"type": "text", "content": {"text": ""}},
        {"type": "text", "content": 7},
        {"type": "text", "content": {"text": ["Hi"]}},
    ],
)
def test_what_says_nothing_is_no_text(frame: dict[str, Any]) -> None:
    assert spoken_in(frame) is None
