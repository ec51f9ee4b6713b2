from __future__ import annotations

import pytest

from app.cluster.commands import (
    Attach,
    ControlAnswer,
    ControlRequest,
    EndSession,
    Message,
    Watch,
    decode,
    encode,
)


@pytest.mark.parametrize(
    "message",
    [
        EndSession("s1"),
        Attach("s1", "x9", "b", {"received": 7, "token": "t", "nested": {"a": [1, None]}}),
        Attach("s1", "x9", "b"),
        Watch("s1", "w"),
        ControlRequest("s1", "r1", "a", {"do": "event", "data": {"total": 10**30}}),
        ControlAnswer("r1", {"status": 202, "body": {"message_id": "m1"}}),
    ],
)
def test_message_survives_the_way(message: Message) -> None:
    assert decode(encode(message)) == message


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'"end_session"',
        b'{"kind":1}',
        b'{"kind":"dance","session_id":"s1"}',
        b'{"kind":"end_session"}',
        b'{"kind":"end_session","session_id":1}',
        b'{"kind":"attach","session_id":"s","attachment":"x","replica":"b"}',
        b'{"kind":"attach","session_id":"s","attachment":"x","replica":"b","hello":[]}',
    ],
)
def test_what_is_no_message_is_none(payload: bytes) -> None:
    assert decode(payload) is None


def test_field_of_a_newer_release_is_skipped() -> None:
    newer = b'{"kind":"end_session","session_id":"s1","mood":"good"}'
    assert decode(newer) == EndSession("s1")
