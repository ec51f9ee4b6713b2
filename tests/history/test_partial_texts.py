"""Partial texts (`content.type: "potential"`) are never speech: not in turns, not in results."""

from __future__ import annotations

import json
from itertools import groupby
from typing import Any

from app.history.conversation import BatchPart, RecordedConversation
from app.history.frames import read
from app.history.transcript import Budget, Transcript
from app.history.turn import join
from tests.history.feed import DOWN, NOW, start
from tests.support.partial_streams import finals, stream

STREAMS = 10_000


def frame(content: Any) -> bytes:
    return json.dumps({"type": "text", "timestamp": "x", "content": content}).encode()


def recorded(contents: list[dict[str, Any]]) -> tuple[list[Any], list[Any]]:
    """Return (source, text, pieces) of the rows, and of the transcript that a result carries."""
    transcript = Transcript(Budget())
    conversation = RecordedConversation(start("c"), content=True, transcript=transcript)
    part = BatchPart(conversation)
    for content in contents:
        conversation.frame(part, DOWN, NOW, frame(content))
    rows = [(row["source"], row["text"], row["pieces"]) for row in part.turn_rows()]
    return rows, [(turn.source, turn.text, turn.pieces) for turn in transcript]


def expected(contents: list[dict[str, Any]]) -> list[tuple[str, str, int]]:
    turns = []
    speech = ((content.get("source", "assistant"), content["text"]) for content in finals(contents))
    for source, said in groupby(speech, key=lambda one: one[0]):
        text, count = "", 0
        for _, piece in said:
            text, count = join(text, piece), count + 1
        turns.append((source, text, count))
    return turns


def test_ten_thousand_streams_of_partial_texts_end_with_exactly_their_final_texts() -> None:
    partial = 0
    for seed in range(STREAMS):
        contents = stream(seed)
        partial += len(contents) - len(finals(contents))
        rows, transcript = recorded(contents)
        assert rows == transcript == expected(contents), seed
    assert partial > STREAMS  # the streams hold what is tested


def test_a_partial_text_leaves_nothing_in_whatever_shape_it_comes() -> None:
    for content in (
        {"type": "potential", "source": "user", "text": "hel"},
        {"type": "potential", "text": "hel"},
        {"type": "potential"},
        {"type": "potential", "source": "user", "text": 7},
    ):
        assert read(DOWN, frame(content)) is None
    assert (
        read(
            DOWN, json.dumps({"type": "text", "data": {"type": "potential", "text": "a"}}).encode()
        )
        is None
    )
