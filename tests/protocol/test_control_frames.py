from __future__ import annotations

import json

import pytest

from app.protocol.control import Speaker
from app.protocol.control_frames import event, said, user_message

NOW = 1_767_225_600.0
STAMP = "2026-01-01T00:00:00.000Z"


def test_user_message_is_what_a_page_would_send() -> None:
    assert json.loads(user_message(NOW, "m1", "hello")) == {
        "type": "incomingChatMessage",
        "timestamp": STAMP,
        "id": "m1",
        "content": "hello",
    }


@pytest.mark.parametrize("speaker", [Speaker.AGENT, Speaker.BACKEND, Speaker.OPERATOR])
def test_what_is_said_for_the_agent_names_its_speaker(speaker: Speaker) -> None:
    frame = json.loads(said(NOW, "m1", "hello", speaker))
    assert frame["content"] == {"source": "assistant", "text": "hello", "speaker": speaker.value}
    assert (frame["type"], frame["id"], frame["timestamp"]) == ("text", "m1", STAMP)


def test_what_the_user_said_looks_as_the_vendor_shows_it() -> None:
    frame = json.loads(said(NOW, "m1", "hello", Speaker.USER))
    assert frame["content"] == {"source": "user", "text": "hello"}


def test_event_keeps_every_digit_of_its_data() -> None:
    frame = json.loads(event(NOW, "m1", 7, "cart", {"total": 10**30}))
    assert frame == {
        "type": "event",
        "name": "relay.cart",
        "timestamp": STAMP,
        "id": "m1",
        "number": 7,
        "data": {"total": 10**30},
    }
