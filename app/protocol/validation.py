"""Which frames a browser may send upstream, and what the vendor would miss in them.

The vendor closes with 1007 on a `content` that is no string and on a tool response without
`channelId` (D L): the browser hears of its mistake here, and its conversation goes on.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from app.protocol.close_codes import BAD_FRAMES, FORBIDDEN, CloseReason
from app.protocol.errors import RelayError
from app.protocol.frames import (
    APPROVAL,
    FORWARDED,
    INCOMING_CHAT_MESSAGE,
    SDP_ANSWER,
    TOOL_RESPONSE,
    timestamp,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

NEEDS_CHANNEL: Final = frozenset({SDP_ANSWER, TOOL_RESPONSE})
NO_MEMBERS: Final[Mapping[str, Any]] = MappingProxyType({})


class FrameRejected(RelayError):  # noqa: N818 - a verdict, always caught within the rules
    """A browser's frame is not forwarded; the message is a constant sentence for its sender."""

    def __init__(self, reason: CloseReason, message: str, count: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.count = count


def validate(frame: dict[str, Any]) -> None:
    """Raise `FrameRejected` unless a browser may send a frame of this type and shape."""
    kind = frame["type"]
    if kind not in FORWARDED:
        raise FrameRejected(
            FORBIDDEN, "This type of message is not allowed here.", "type_not_allowed"
        )
    if kind == INCOMING_CHAT_MESSAGE:
        if type(frame.get("content")) is not str:
            raise _misshapen("The content of a chat message must be a text.")
    elif kind == SDP_ANSWER:
        answer = frame.get("data")
        if type(answer) is not dict or type(answer.get("sdpAnswer")) is not str:
            raise _misshapen("An SDP answer must hold data.sdpAnswer as a text.")
    elif kind == TOOL_RESPONSE and response_id(frame) is None:
        raise _misshapen("A tool response must hold content.id and content.result.")


def approval_in(frame: dict[str, Any]) -> tuple[str, bool]:
    """The call that a `relay.approval` decides on, and whether it may run; or `FrameRejected`."""
    call_id, approve = frame.get("id"), frame.get("approve")
    if type(call_id) is not str or type(approve) is not bool:
        raise _misshapen(f"A {APPROVAL} must hold id as a text, and approve as true or false.")
    return call_id, approve


def _misshapen(message: str) -> FrameRejected:
    return FrameRejected(BAD_FRAMES, message, "bad_shape")


def response_id(frame: dict[str, Any]) -> str | None:
    """The request id that a tool response answers, or None where its shape is wrong."""
    content = frame.get("content")
    if type(content) is not dict or "result" not in content:
        return None
    call_id = content.get("id")
    return call_id if type(call_id) is str else None


def missing_members(frame: dict[str, Any], now: float) -> Mapping[str, Any]:
    """The members that the vendor demands and the browser left out (D L)."""
    untimed = "timestamp" not in frame
    unchannelled = "channelId" not in frame and frame["type"] in NEEDS_CHANNEL
    if not untimed and not unchannelled:
        return NO_MEMBERS
    added: dict[str, Any] = {"timestamp": timestamp(now)} if untimed else {}
    if unchannelled:
        added["channelId"] = None
    return added
