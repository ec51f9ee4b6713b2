"""The frames of the protocol: the vendor's types, and the gateway's own in the same envelope.

The vendor's envelope is one JSON object in one text frame with `type` and `timestamp` (S D).
Builders return the bytes that are sent.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import orjson

from blackbox_relay import exact_json

if TYPE_CHECKING:
    from app.protocol.approval import ApprovalRequest
    from app.protocol.close_codes import CloseReason
    from app.protocol.principal import CallType
    from app.protocol.tool import ToolResult

INITIALIZE: Final = "initialize"
INCOMING_CHAT_MESSAGE: Final = "incomingChatMessage"
SDP_ANSWER: Final = "sdpAnswer"
TOOL_RESPONSE: Final = "websocketToolResponse"
TERMINATE: Final = "terminate"
RECEIVED: Final = "relay.received"
PING: Final = "relay.ping"
APPROVAL: Final = "relay.approval"

TEXT: Final = "text"
EVENT: Final = "event"
SDP_INVITE: Final = "sdpInvite"
TOOL_REQUEST: Final = "websocketToolRequest"
TOOL_CALL: Final = "toolCall"
TOOL_CALL_RESULT: Final = "toolCallResult"
CONVERSATION_RESULT: Final = "conversationResult"
ERROR: Final = "error"

FORWARDED: Final = frozenset({INCOMING_CHAT_MESSAGE, SDP_ANSWER, TOOL_RESPONSE, TERMINATE})
"""What a browser may send upstream."""
BROWSER_TYPES: Final = FORWARDED | {INITIALIZE, RECEIVED, PING, APPROVAL}
UPSTREAM_TYPES: Final = frozenset(
    {TEXT, EVENT, SDP_INVITE, TOOL_REQUEST, TOOL_CALL, TOOL_CALL_RESULT, CONVERSATION_RESULT, ERROR}
)
CLOSED_EVENT: Final = "closed"
FAILED_OPEN_EVENT: Final = "failedOpen"
KNOWN_EVENTS: Final = frozenset({"connection", "opened", CLOSED_EVENT, FAILED_OPEN_EVENT})
EVENTS_WITH_EFFECT: Final = frozenset({CLOSED_EVENT, FAILED_OPEN_EVENT})
"""Those that end or fail the conversation; of the other known ones a browser is told, no more."""
OTHER: Final = "other"

HEADER: Final = ("type", "timestamp", "channelId", "name")
BODIES: Final = ("content", "data", "result", "request", "devRequest")
ENVELOPE: Final = frozenset((*HEADER, *BODIES))
"""All members that the vendor's frames are known to have; one of `BODIES` holds what is said."""

OWN_PREFIX: Final = "relay."
OWN_ERROR: Final = "relay.error"


def compact_head(kind: str) -> bytes:
    """How a frame of this type begins that was written without white space, its type first."""
    return b'{"type":"%s"' % kind.encode()


def spaced_head(kind: str) -> bytes:
    """How it begins where the writer sets a space behind a colon, as Python's `json` does."""
    return b'{"type": "%s"' % kind.encode()


def timestamp(now: float) -> str:
    """Write Unix seconds as the ISO 8601 string that the vendor's envelope demands (S D)."""
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def is_own(frame: dict[str, Any]) -> bool:
    """Tell whether a frame is the gateway's own: typed or named `relay.*`, hence not counted."""
    for key in ("type", "name"):
        value = frame.get(key)
        if isinstance(value, str) and value.startswith(OWN_PREFIX):
            return True
    return False


def initialize(now: float, field: str, request: dict[str, Any]) -> bytes:
    """The one `initialize`; `field` is `devRequest` on dev and `request` on webCall (D)."""
    return orjson.dumps({"type": INITIALIZE, "timestamp": timestamp(now), field: request})


def terminate(now: float) -> bytes:
    """Ask the vendor to end the conversation (S D)."""
    return orjson.dumps({"type": TERMINATE, "timestamp": timestamp(now)})


def tool_response(now: float, result: ToolResult, channel: Any) -> bytes:
    """Answer a tool request; `channelId` must be present, null is fine (D L)."""
    return exact_json.dumps(
        {
            "type": TOOL_RESPONSE,
            "timestamp": timestamp(now),
            "channelId": channel,
            "content": {"id": result.id, "result": result.result},
        }
    )


def _event(now: float, name: str, fields: dict[str, Any]) -> bytes:
    event = {"type": EVENT, "name": name, "timestamp": timestamp(now), "data": fields}
    return exact_json.fitted(orjson.dumps(event))


def session_opened(
    now: float,
    session_id: str,
    agent: str,
    call_type: CallType,
    resume: tuple[str, float] | None,
    keep: float = 0.0,
    *,
    queued: bool = False,
    operator: str | None = None,
) -> bytes:
    """`relay.session`: the first frame of every session. `resume` is (token, window seconds).

    `keep` is how many seconds the chat stays open with no page there; left out where that is 0.
    `queued`: it waits for an upstream session, and `relay.queued` follows. `operator`: who has
    taken the conversation over.
    """
    offer = None if resume is None else {"token": resume[0], "window": resume[1]}
    fields: dict[str, Any] = {
        "sessionId": session_id,
        "agent": agent,
        "callType": call_type.value,
        "resume": offer,
    }
    if keep:
        fields["keep"] = keep
    if queued:
        fields["queued"] = True
    if operator is not None:
        fields["takeover"] = {"operator": operator}
    return _event(now, "relay.session", fields)


def history(now: float, turns: list[dict[str, Any]]) -> bytes:
    """`relay.history`: what was said before this page joined, the oldest turn first."""
    told = [{**turn, "at": timestamp(turn["at"])} for turn in turns]
    return _event(now, "relay.history", {"turns": told})


def resumed(now: float, replayed: int, received: int) -> bytes:
    """`relay.resumed`: how many frames follow again, and how many of the browser's arrived."""
    return _event(now, "relay.resumed", {"replayed": replayed, "received": received})


def pong(now: float, received: int) -> bytes:
    """`relay.pong`, the answer to `relay.ping`: `received` of the browser's frames have arrived.

    A page cannot see the pings of RFC 6455 (section 5.5.2), so it has these to find a dead socket.
    """
    return _event(now, "relay.pong", {"received": received})


def warning(now: float, code: str, message: str, **fields: Any) -> bytes:
    """`relay.warning`: the conversation goes on, but otherwise than the page may expect."""
    return _event(now, "relay.warning", {"code": code, "message": message, **fields})


def queued(now: float, position: int, of: int, turn: str) -> bytes:
    """`relay.queued`: the session waits for an upstream session, at `position` (from 1) of `of`.

    `turn` keeps that position for a browser that reconnects with `turn=` in the query after a
    `draining` error.
    """
    return _event(now, "relay.queued", {"position": position, "of": of, "turn": turn})


def approval_request(now: float, request: ApprovalRequest) -> bytes:
    """`relay.approval_request`: the user is asked whether a tool may run with these arguments.

    Answered by `relay.approval` until `deadline`; a page that comes later is asked again.
    """
    fields = {
        "id": request.id,
        "tool": request.tool,
        "args": request.args,
        "deadline": timestamp(request.deadline),
    }
    name = "relay.approval_request"
    return exact_json.dumps(
        {"type": EVENT, "name": name, "timestamp": timestamp(now), "data": fields}
    )


def approval_settled(now: float, call_id: str, *, approved: bool) -> bytes:
    """`relay.approval_settled`: what was asked is decided, or was not decided in time."""
    return _event(now, "relay.approval_settled", {"id": call_id, "approved": approved})


def draining(now: float, deadline: float) -> bytes:
    """`relay.draining`: this replica goes away at `deadline`, in Unix seconds."""
    return _event(now, "relay.draining", {"deadline": timestamp(deadline)})


def withheld(now: float, message: str) -> bytes:
    """Tell a page that a guardrail withheld something: an `error` as the vendor's own (D L).

    It has no code, as nothing ends: every client shows it, and none takes it for a close's cause.
    """
    frame = {"type": ERROR, "timestamp": timestamp(now), "data": {"message": message}}
    return exact_json.fitted(orjson.dumps(frame))


def guardrail(now: float, verdict: dict[str, Any]) -> bytes:
    """`relay.guardrail`: a guardrail's verdict, for history and watchers; no page is sent it."""
    return _event(now, "relay.guardrail", verdict)


def error(
    now: float,
    reason: CloseReason,
    session_id: str | None,
    message: str | None = None,
    retry_after: float | None = None,
    *,
    numbered: bool = True,
) -> bytes:
    """The `error` frame that a page can show; it goes before every close that is not normal.

    One that stands outside a session's numbered frames is named `relay.error`, so that a browser
    which resumes afterwards has not counted it.
    """
    fields: dict[str, Any] = {
        "message": message or reason.message,
        "code": reason.code,
        "retry": reason.retry.value,
        "sessionId": session_id,
    }
    if retry_after is not None:
        fields["retryAfter"] = round(retry_after, 3)
    name = {} if numbered else {"name": OWN_ERROR}
    frame = {"type": ERROR, **name, "timestamp": timestamp(now), "data": fields}
    return exact_json.fitted(orjson.dumps(frame))
