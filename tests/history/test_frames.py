"""Frames are read liberally: what they mean to history, in every shape that was ever seen."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.history.conversation import BatchPart, RecordedConversation
from app.history.frames import RecordedEvent, Result, TurnFragment, leaves_a_row, read
from app.history.interface import Direction
from app.history.turn import join
from tests.history.feed import DOWN, NOW, UP, start, text


def frame(**values: Any) -> bytes:
    return json.dumps({"timestamp": "2026-01-01T00:00:00Z", "channelId": None} | values).encode()


@pytest.mark.parametrize(
    ("content", "piece"),
    [
        ({"source": "assistant", "text": "a"}, TurnFragment("assistant", "a", "agent")),
        ({"source": "Agent", "text": "a", "new": 1}, TurnFragment("assistant", "a", "agent")),
        ({"speaker": "human", "text": "a"}, TurnFragment("user", "a", "user")),
        ({"role": "user", "text": "a"}, TurnFragment("user", "a", "user")),
        ({"source": "supervisor", "text": "a"}, TurnFragment("supervisor", "a", "supervisor")),
        ({"text": "a"}, TurnFragment("assistant", "a", "agent")),
        ("a", TurnFragment("assistant", "a", "agent")),
    ],
)
def test_a_piece_of_a_turn_is_known_in_many_shapes(content: Any, piece: TurnFragment) -> None:
    assert read(DOWN, frame(type="text", content=content)) == piece


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff",
        b"[]",
        b"17",
        b"{}",
        b'{"type":17}',
        b"[" * 100_000,
        frame(type="text", content={"source": "user"}),
        frame(type="text", content={"source": "user", "text": 5}),
        frame(type="text", content=None),
        frame(type="websocketToolRequest", content={"id": "1"}),
    ],
)
def test_what_says_nothing_leaves_nothing(payload: bytes) -> None:
    assert read(DOWN, payload) is None


SAID = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["text", "event", "potential", "conversationResult", 7, None]),
        "timestamp": st.sampled_from(["2026", "", None]),
        "channelId": st.sampled_from([None, "c"]),
        "content": st.none()
        | st.text(max_size=3)
        | st.fixed_dictionaries(
            {},
            optional={
                "source": st.sampled_from(["assistant", "user", "", None, 'a"b']),
                "text": st.none() | st.text(max_size=3) | st.integers(),
                "type": st.sampled_from(["final", "potential", "p\u00f6tential", None]),
            },
        ),
    },
)


@settings(max_examples=600, deadline=None)
@given(SAID, st.sampled_from([(",", ":"), (", ", ": ")]), st.booleans(), st.sampled_from(Direction))
def test_what_a_dropped_frame_would_have_left_is_what_reading_it_finds(
    said: dict[str, object], separators: tuple[str, str], ascii_only: bool, direction: Direction
) -> None:
    for members in (said, {"type": "text"} | said | {"type": "text"}):
        payload = json.dumps(members, separators=separators, ensure_ascii=ascii_only)
        encoded = payload.encode(errors="replace")
        for written in (encoded, encoded.replace(b"potential", b"potenti\\u0061l")):
            assert leaves_a_row(direction, written) == (read(direction, written) is not None)


@pytest.mark.parametrize("kind", ["incomingChatMessage", "initialize", "websocketToolResponse"])
def test_a_browser_s_frames_are_not_the_transcript(kind: str) -> None:
    assert read(UP, frame(type=kind, content="hello")) is None


def test_events_errors_and_unknown_types_are_noted_with_what_they_carry() -> None:
    opened = frame(type="event", name="opened", data={"a": [1]})
    assert read(DOWN, opened) == RecordedEvent("event", "opened", b'{"a":[1]}')
    error = frame(type="error", data={"message": "Too large message"})
    assert read(DOWN, error) == RecordedEvent("error", None, b'{"message":"Too large message"}')
    novel = frame(type="novel", x=1, data={"y": 2})
    assert read(DOWN, novel) == RecordedEvent("novel", None, b'{"x":1,"data":{"y":2}}')
    assert read(DOWN, frame(type="event", name="bare")) == RecordedEvent("event", "bare", None)


def test_a_session_description_is_noted_without_its_addresses_and_keys() -> None:
    assert read(DOWN, frame(type="sdpInvite", data={"sdpOffer": "v=0"})) == RecordedEvent(
        "sdpInvite", None, None
    )
    assert read(UP, frame(type="sdpAnswer", data={"sdpAnswer": "v=0"})) == RecordedEvent(
        "sdpAnswer", None, None
    )


def test_a_result_is_read_whole() -> None:
    said = {"status": "Failed", "finishReason": "busy", "errorMessage": "no", "x": {"y": 1}}
    read_back = read(DOWN, frame(type="conversationResult", result=said))
    assert isinstance(read_back, Result)
    assert (read_back.status, read_back.finish_reason) == ("Failed", "busy")
    assert read_back.error_message == "no"
    assert json.loads(read_back.body) == said
    assert read(DOWN, frame(type="conversationResult")) == Result(None, None, None, b"{}")


@pytest.mark.parametrize(
    ("said", "more", "joined"),
    [
        ("Your order ", "is sent.", "Your order is sent."),
        ("Hel", "lo", "Hello"),
        ("Hello.", "How are you?", "Hello. How are you?"),
        ("Hello. ", "How are you?", "Hello. How are you?"),
        ("It is 3.", "5 percent", "It is 3.5 percent"),
        ("example.", "com", "example.com"),
    ],
)
def test_pieces_join_as_they_are_but_for_glued_sentences(said: str, more: str, joined: str) -> None:
    assert join(said, more) == joined


def test_an_event_between_two_pieces_does_not_part_a_turn() -> None:
    conversation = RecordedConversation(start("c"), content=True, transcript=None)
    part = BatchPart(conversation)
    for payload in (
        text("assistant", "one "),
        frame(type="event", name="x"),
        text("assistant", "two"),
        text("user", "three"),
        text("assistant", "four"),
    ):
        conversation.frame(part, DOWN, NOW, payload)
    rows = [(row["source"], row["text"], row["pieces"]) for row in part.turn_rows()]
    assert rows == [("assistant", "one two", 2), ("user", "three", 1), ("assistant", "four", 1)]


def test_a_turn_without_end_is_cut() -> None:
    conversation = RecordedConversation(start("c"), content=True, transcript=None)
    part = BatchPart(conversation)
    for _ in range(5):
        conversation.frame(part, DOWN, NOW, text("assistant", "x" * 6_000))
    assert [len(row["text"]) for row in part.turn_rows()] == [18_000, 12_000]
