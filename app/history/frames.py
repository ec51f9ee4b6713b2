"""What a relayed frame means to history: a piece of a turn, an event, a result, or nothing.

Frames are judged elsewhere; here they are only read, as liberally as possible: the vendor adds
fields and types, and documents them late.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any, Final, NamedTuple

import orjson

from app.history.interface import NOTED_FROM_BROWSER, UNNOTED_FROM_UPSTREAM, Direction
from app.protocol.call_record import url_of
from app.protocol.codec import with_every_digit
from app.protocol.control import Speaker
from app.protocol.frames import HEADER, SDP_ANSWER, SDP_INVITE
from blackbox_relay import exact_json

WORD: Final = 64
"""Characters kept of a type, a name, a status: these are words, never texts."""

SPEAKERS: Final = {
    "assistant": "assistant",
    "agent": "assistant",
    "ai": "assistant",
    "bot": "assistant",
    "user": "user",
    "human": "user",
    "customer": "user",
}
"""Known words for the two who talk, and what history calls them; others stay as they are."""

LINKS: Final = ("recordingUrl", "inspectorUrl")
PARTIAL: Final = "potential"
"""The `content.type` of a text that may still change (D): its final text follows, or none does."""

_UNSURE: Final = (b'"potential"', b"\\u")
"""A text with one of these is read: it may be a partial one."""
_TEXT_SAID: Final = re.compile(
    rb'\{"type": ?"text", ?(?:"timestamp": ?"[^"\\]*", ?)?(?:"channelId": ?null, ?)?'
    rb'"content": ?\{"source": ?"[^"\\]+", ?"text": ?"[^"]'
)
FROM_BROWSER: Final = Direction.FROM_BROWSER
MEDIA: Final = frozenset({SDP_INVITE, SDP_ANSWER})
"""Session descriptions hold addresses and keys, and say nothing about the conversation."""


class TurnFragment(NamedTuple):
    """Part of what one side said. `is_held`: no page was shown it, a person had taken over."""

    source: str
    text: str
    speaker: str = ""
    is_held: bool = False


class RecordedEvent(NamedTuple):
    """Anything else worth a line; `data` is JSON text, or None."""

    type: str
    name: str | None
    data: bytes | None


class Result(NamedTuple):
    """The vendor's `conversationResult` (S D L)."""

    status: str | None
    finish_reason: str | None
    error_message: str | None
    body: bytes


def read(direction: Direction, payload: bytes) -> TurnFragment | RecordedEvent | Result | None:
    """Read one frame; None when it is nothing to remember, or cannot be read at all."""
    frame = _loaded(payload)
    kind = short_label(frame.get("type")) if isinstance(frame, dict) else None
    if kind is None or not _noted(kind, direction):
        return None
    if kind == "text":
        piece = _piece(frame)
        held = direction is Direction.HELD
        return piece._replace(is_held=True) if held and piece is not None else piece
    frame = with_every_digit(frame, payload)
    if kind == "conversationResult":
        return _result(frame)
    if kind in MEDIA:
        return RecordedEvent(kind, None, None)
    return RecordedEvent(kind, short_label(frame.get("name")), _rest(frame))


def leaves_a_row(direction: Direction, payload: bytes) -> bool:
    """Tell whether `read` finds something to remember in a frame.

    A text as the vendor writes most of them is known by its shape. It is asked of each frame that
    is dropped, when there is more to do than time for it.
    """
    if (
        direction is not FROM_BROWSER
        and _TEXT_SAID.match(payload)
        and not any(mark in payload for mark in _UNSURE)
    ):
        return True
    return read(direction, payload) is not None


def _loaded(payload: bytes) -> Any:
    try:
        return orjson.loads(payload)
    except ValueError:
        with suppress(ValueError):  # it may hold a number that no double can hold
            return exact_json.loads_all(payload)
    return None


def _noted(kind: str, direction: Direction) -> bool:
    if direction is FROM_BROWSER:
        return kind in NOTED_FROM_BROWSER
    return kind not in UNNOTED_FROM_UPSTREAM


def short_label(value: object) -> str | None:
    """Cut a short string down to a word's length; None when it is no string or empty."""
    return value[:WORD] if isinstance(value, str) and value else None


def _piece(frame: dict[str, Any]) -> TurnFragment | None:
    """Read what was said; None for a partial text, which is no speech yet, and for nothing."""
    content = frame.get("content", frame.get("data"))
    holder = content if isinstance(content, dict) else frame
    if holder.get("type") == PARTIAL:
        return None
    text = holder.get("text") if isinstance(content, dict) else content
    if text is None:
        text = frame.get("text")
    if not isinstance(text, str) or not text:
        return None
    spoken = holder.get("source") or holder.get("speaker") or holder.get("role")
    source = short_label(spoken) or "assistant"
    source = SPEAKERS.get(source.lower(), source)
    return TurnFragment(source, text, _speaker(source, holder.get("speaker")))


def _speaker(source: str, named: object) -> str:
    """Who spoke: a person or a backend may speak as the agent."""
    if source != "assistant":
        return source
    return str(named) if named in (Speaker.BACKEND, Speaker.OPERATOR) else Speaker.AGENT.value


def speaker_of(source: str) -> str:
    """Who spoke in a turn that does not say: an older release has stored it."""
    return _speaker(source, None)


def _result(frame: dict[str, Any]) -> Result:
    found = frame.get("result")
    if not isinstance(found, dict):
        found = frame.get("data")
    result: dict[str, Any] = found if isinstance(found, dict) else {}
    message = result.get("errorMessage")
    return Result(
        short_label(result.get("status")),
        short_label(result.get("finishReason")),
        message if isinstance(message, str) and message else None,
        exact_json.dumps(result),
    )


def links(data: bytes | None) -> dict[str, str]:
    """The vendor's links to a recording and to its inspector in an event's or result's JSON."""
    if data is None or b"Url" not in data:
        return {}
    said = exact_json.loads_all(data)
    if not isinstance(said, dict):
        return {}
    found = {name: url_of(said, name) for name in LINKS}
    return {name: url for name, url in found.items() if url is not None}


def _rest(frame: dict[str, Any]) -> bytes | None:
    rest = {key: value for key, value in frame.items() if key not in HEADER}
    if not rest:
        return None
    return exact_json.dumps(rest["data"] if rest.keys() == {"data"} else rest)
