"""The frames by which a backend or an operator speaks into a conversation.

Each has the `id` of the message that a backend sent; those that pages do not count have a `number`
of their own, by which a page that resumes knows the ones it had.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app.protocol.control import Speaker
from app.protocol.frames import EVENT, INCOMING_CHAT_MESSAGE, OWN_PREFIX, TEXT, timestamp
from blackbox_relay import exact_json

if TYPE_CHECKING:
    from collections.abc import Mapping


def user_message(now: float, message_id: str | None, text: str) -> bytes:
    """What is said for the user, as a page would send it upstream."""
    return exact_json.dumps(
        {
            "type": INCOMING_CHAT_MESSAGE,
            "timestamp": timestamp(now),
            **_id(message_id),
            "content": text,
        }
    )


def said(now: float, message_id: str | None, text: str, speaker: Speaker) -> bytes:
    """A `text` that did not come from the vendor; `speaker` is told where it is not the user."""
    source = "user" if speaker is Speaker.USER else "assistant"
    content = {"source": source, "text": text}
    if speaker is not Speaker.USER:
        content["speaker"] = speaker.value
    return exact_json.dumps(
        {"type": TEXT, "timestamp": timestamp(now), **_id(message_id), "content": content}
    )


def event(
    now: float, message_id: str | None, number: int, name: str, data: Mapping[str, Any]
) -> bytes:
    """The event `relay.<name>`."""
    return exact_json.dumps(
        {
            "type": EVENT,
            "name": OWN_PREFIX + name,
            "timestamp": timestamp(now),
            **_id(message_id),
            "number": number,
            "data": dict(data),
        }
    )


def _id(message_id: str | None) -> dict[str, str]:
    return {} if message_id is None else {"id": message_id}
