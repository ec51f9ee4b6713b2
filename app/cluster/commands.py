"""What one replica tells another: a closed set of JSON messages.

A replica of another release may send a kind that this one does not know: `decode` returns
None for it, and for anything else that is no message.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from app.protocol.tagged_json import TaggedJson
from blackbox_relay import exact_json

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class EndSession:
    """End this session, as a backend asked."""

    session_id: str


@dataclass(frozen=True, slots=True)
class Attach:
    """A browser of this session has come to another replica: take it over a bridge.

    `attachment` names the bridge and cannot be guessed; `replica` is where the browser is;
    `hello` is what the browser said when it came, for the owner to judge.
    """

    session_id: str
    attachment: str
    replica: str
    hello: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Watch:
    """Publish this session's events to `stream` for as long as that key exists."""

    session_id: str
    stream: str


@dataclass(frozen=True, slots=True)
class PlaceGiven:
    """Sessions of this replica were given places for upstream sessions."""


@dataclass(frozen=True, slots=True)
class ControlRequest:
    """Carry out a command on this session, and tell `replica` the answer.

    It may come again: its owner carries a command of the same id out once.
    """

    session_id: str
    request_id: str
    replica: str
    command: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ControlAnswer:
    """What a `ControlRequest` came to: `status`, and `body`."""

    request_id: str
    answer: Mapping[str, Any] = field(default_factory=dict)


Message = EndSession | Attach | Watch | PlaceGiven | ControlRequest | ControlAnswer

_JSON: Final[TaggedJson[Message]] = TaggedJson(
    "kind",
    {
        "end_session": EndSession,
        "attach": Attach,
        "watch": Watch,
        "place_given": PlaceGiven,
        "control_request": ControlRequest,
        "control_answer": ControlAnswer,
    },
    {"hello": dict, "command": dict, "answer": dict},
)


def encode(message: Message) -> bytes:
    """Write a message."""
    return exact_json.dumps(_JSON.write(message))


def decode(payload: bytes) -> Message | None:
    """Read a message; None if it is none that this release knows."""
    try:
        return _JSON.read(exact_json.loads_all(payload))
    except ValueError:
        return None
