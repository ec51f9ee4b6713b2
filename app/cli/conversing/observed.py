"""What a frame means to someone who follows a conversation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from app.history.frames import PARTIAL, SPEAKERS
from app.protocol.close_codes import CLOSE_REASONS

SENTENCES: Final = {reason.code: reason.message for reason in CLOSE_REASONS}


@dataclass(frozen=True, slots=True)
class Text:
    """What one side said; `final` is false while it may still change."""

    source: str
    text: str
    final: bool


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The agent asks for a tool; `for_client`: this client has to answer it.

    `args` is `UNSEEN` where the gateway does not show them to this token.
    """

    id: str
    name: str
    args: Any
    for_client: bool = False


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """What a tool answered."""

    id: str
    name: str
    result: Any


@dataclass(frozen=True, slots=True)
class Event:
    """Any other event, by its name."""

    name: str
    data: Any


@dataclass(frozen=True, slots=True)
class Error:
    """The gateway or the vendor reports an error."""

    message: str


@dataclass(frozen=True, slots=True)
class Result:
    """The vendor's `conversationResult`."""

    status: str | None
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Closed:
    """The socket is closed. `sentence` is what a person may be told."""

    code: int
    sentence: str


UNSEEN: Final = "(not shown to this token)"

Observed = Text | ToolCall | ToolAnswer | Event | Error | Result | Closed


def read(frame: dict[str, Any]) -> Observed | None:
    """Read a frame from the gateway; None for those of no interest here."""
    kind = frame.get("type")
    content = frame.get("content", frame.get("data"))
    if kind == "text":
        return _text(frame, content)
    if kind in {"toolCall", "websocketToolRequest"} and isinstance(content, dict):
        call_id, name = str(content.get("id")), str(content.get("toolName"))
        return ToolCall(call_id, name, content.get("args"))
    if kind == "toolCallResult" and isinstance(content, dict):
        call_id, name = str(content.get("id")), str(content.get("toolName"))
        return ToolAnswer(call_id, name, content.get("result"))
    if kind == "event":
        return Event(str(frame.get("name")), frame.get("data"))
    if kind == "error":
        data = frame.get("data")
        message = data.get("message") if isinstance(data, dict) else data
        return Error(str(message))
    if kind == "conversationResult":
        body = frame.get("result")
        body = body if isinstance(body, dict) else {}
        status = body.get("status")
        return Result(status if isinstance(status, str) else None, body)
    return None


def _text(frame: dict[str, Any], content: Any) -> Text | None:
    holder = content if isinstance(content, dict) else frame
    text = holder.get("text") if isinstance(content, dict) else content
    if not isinstance(text, str) or not text:
        return None
    source = str(holder.get("source") or holder.get("speaker") or "assistant")
    return Text(SPEAKERS.get(source.lower(), source), text, holder.get("type") != PARTIAL)


def sentence_of(code: int) -> str:
    """What a close code says to a person."""
    return SENTENCES.get(code, "The connection was lost." if code == 1006 else "It has ended.")  # noqa: PLR2004 - RFC 6455 §7.4.1: no close frame
