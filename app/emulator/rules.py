"""What the vendor demands of a client's frames, and the two ways in which it refuses one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from app.emulator.frame_variants import Frame

POLICY: Final = 1008  # how the vendor closes after an error frame: not documented (?)
CALL_TYPES: Final = frozenset({"chat", "webCall", "onPhone"})
CARRIES: Final = {"dev": "devRequest", "webCall": "request"}


class BadFrame(Exception):  # noqa: N818 - the client's fault, not ours
    """The client sent what the vendor closes for, with this code and no error frame."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class HandshakeRejected(Exception):  # noqa: N818 - as above
    """The vendor sends an `error` frame with this message, and closes."""

    def __init__(self, message: str, code: int = POLICY) -> None:
        super().__init__(message)
        self.code = code


def parse(message: str, max_message: int) -> Frame:
    """Read a client's message. Raises `HandshakeRejected` if too large, `BadFrame` otherwise.

    `type` and `timestamp` are required of every frame (S D). What the vendor does without them,
    or with what is no JSON at all, is not documented: this one closes with 1007 (?).
    """
    if len(message.encode()) > max_message:
        raise HandshakeRejected("Too large message", 1009)
    try:
        frame = orjson.loads(message)
    except orjson.JSONDecodeError:
        raise BadFrame(1007, "Not JSON") from None
    if not isinstance(frame, dict) or not isinstance(frame.get("type"), str):
        raise BadFrame(1007, "type is required")
    if not isinstance(frame.get("timestamp"), str):
        raise BadFrame(1007, "timestamp is required")
    return frame


def initialize_request(frame: Frame, endpoint: str) -> dict[str, Any] | None:
    """Take the request out of an initialize; `None` if it has the other endpoint's shape.

    Raises `HandshakeRejected` for what is no initialize or names no call that can be made.
    """
    if frame["type"] != "initialize":
        raise HandshakeRejected("Init message not received")
    request = frame.get(CARRIES[endpoint])
    if not isinstance(request, dict):
        return None
    if request.get("callType") not in CALL_TYPES:
        raise HandshakeRejected("Unknown callType")
    number = request.get("endpoint")
    if request["callType"] == "onPhone" and not (isinstance(number, str) and number):
        raise HandshakeRejected("Endpoint is required")
    if not isinstance(request.get("additionalData") or {}, dict):
        raise BadFrame(1007, "additionalData must be an object")
    return request


def user_text(frame: Frame) -> str:
    """Take the text out of an incomingChatMessage; 1007 unless it is a string (D L)."""
    content = frame.get("content")
    if not isinstance(content, str):
        raise BadFrame(1007, "content must be a string")
    return content


def tool_result(frame: Frame) -> tuple[str, Any]:
    """Take id and result out of a websocketToolResponse; 1007 without `channelId` (D L)."""
    if "channelId" not in frame:
        raise BadFrame(1007, "channelId is required")
    content = frame.get("content")
    if not isinstance(content, dict) or not isinstance(content.get("id"), str):
        raise BadFrame(1007, "content.id is required")
    if "result" not in content:
        raise BadFrame(1007, "content.result is required")
    return content["id"], content["result"]


def sdp_answer(frame: Frame) -> str:
    """Take the SDP out of an sdpAnswer."""
    data = frame.get("data")
    if not isinstance(data, dict) or not isinstance(data.get("sdpAnswer"), str):
        raise BadFrame(1007, "data.sdpAnswer must be a string")
    return str(data["sdpAnswer"])
