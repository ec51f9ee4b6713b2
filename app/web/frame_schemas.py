"""Schema, meaning and example of every frame that may pass a browser's socket.

The gateway's own examples come from the very functions that build its frames; a test sends every
example through a real gateway.
"""

from __future__ import annotations

from typing import Any, Final

from app.protocol import control_frames, frames
from app.protocol.approval import ApprovalRequest
from app.protocol.close_codes import TOO_MANY
from app.protocol.principal import CallType

EXAMPLE_TIME: Final = 1_767_225_600.0
STAMP: Final = frames.timestamp(EXAMPLE_TIME)
MESSAGE: Final = "fedcba9876543210fedcba9876543210"
SESSION: Final = "0123456789abcdef0123456789abcdef"
TEXT: Final[dict[str, Any]] = {"type": "string"}
ANY: Final[dict[str, Any]] = {}
CHANNEL: Final[dict[str, Any]] = {"type": ["string", "null"]}


def object_schema(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    """The JSON schema of an object."""
    return {"type": "object", "required": list(required), "properties": properties}


CALL: Final = object_schema(("id", "toolName"), id=TEXT, toolName=TEXT, args=ANY)
OPENING: Final = object_schema(
    (),
    callType={"type": "string", "enum": [kind.value for kind in CallType]},
    endpoint=CHANNEL,
    additionalData={"type": "object"},
)

# What each of the vendor's types carries beside the envelope: required members, schemas, meaning.
CARRIED: Final[dict[str, tuple[tuple[str, ...], dict[str, Any], str]]] = {
    "initialize": (
        (),
        {"request": OPENING, "devRequest": OPENING},
        "Options of the conversation. Never forwarded; the gateway sends its own.",
    ),
    "incomingChatMessage": (("content",), {"content": TEXT}, "What the user says."),
    "sdpAnswer": (
        ("data",),
        {"data": object_schema(("sdpAnswer",), sdpAnswer=TEXT), "channelId": CHANNEL},
        "The browser's answer to an offer, all candidates gathered.",
    ),
    "websocketToolResponse": (
        ("content",),
        {"content": object_schema(("id", "result"), id=TEXT, result=ANY), "channelId": CHANNEL},
        "The result of a tool that runs in the browser.",
    ),
    "terminate": ((), {}, "End the conversation."),
    "relay.received": (
        ("count",),
        {"count": {"type": "integer", "minimum": 0}},
        "How many of the session's frames have arrived. Never forwarded.",
    ),
    "relay.ping": (
        (),
        {},
        "Is this connection alive? Answered by `relay.pong`. Never forwarded, and no activity.",
    ),
    "relay.approval": (
        ("id", "approve"),
        {"id": TEXT, "approve": {"type": "boolean"}},
        "Whether a tool may run: the answer to `relay.approval_request`. Never forwarded.",
    ),
    "text": (
        ("content",),
        {
            "content": object_schema(
                ("source", "text"),
                source={"type": "string", "enum": ["assistant", "user"]},
                text=TEXT,
                speaker={
                    "type": "string",
                    "enum": ["backend", "operator"],
                    "description": "Who speaks as the agent, where it is not the agent.",
                },
                type={
                    "type": "string",
                    "description": "`potential`: a partial text, which the next one replaces.",
                },
            )
        },
        "What was said; an agent's turn may come in pieces, and partial texts before each.",
    ),
    "event": (
        ("name",),
        {"name": TEXT, "data": {"type": ["object", "null"]}},
        "Something happened: `connection`, `opened`, `closed`, `failedOpen`, or one of our own.",
    ),
    "sdpInvite": (
        ("data",),
        {"data": object_schema((), sdpOffer=TEXT, invite=TEXT), "channelId": CHANNEL},
        "An SDP offer, in `sdpOffer` or, from older agents, in `invite`; or in both.",
    ),
    "websocketToolRequest": (
        ("content",),
        {"content": CALL, "channelId": CHANNEL},
        "The agent asks the browser to run one of `browser_tools`.",
    ),
    "toolCall": (("content",), {"content": CALL}, "A tool was called. Hidden by default."),
    "toolCallResult": (("content",), {"content": ANY}, "A tool answered. Hidden by default."),
    "conversationResult": (
        ("result",),
        {"result": object_schema((), status=TEXT, finishReason=TEXT, errorMessage=TEXT)},
        "What came of the conversation.",
    ),
    "error": (
        ("data",),
        {
            "data": object_schema(
                ("message",),
                message=TEXT,
                code={"type": "integer"},
                retry={"type": "string", "enum": ["no", "reconnect", "resume"]},
                retryAfter={"type": "number", "description": "seconds"},
                sessionId=CHANNEL,
            )
        },
        "A sentence to show; before every close that is not normal.",
    ),
}

EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "initialize": {"request": {"callType": "chat", "additionalData": {"plan": "pro"}}},
    "incomingChatMessage": {"content": "Where is my order 1001?"},
    "sdpAnswer": {"channelId": None, "data": {"sdpAnswer": "v=0\r\n"}},
    "websocketToolResponse": {
        "channelId": None,
        "content": {"id": "call-1", "result": {"shown": True}},
    },
    "terminate": {},
    "relay.received": {"count": 16},
    "relay.ping": {},
    "relay.approval": {"id": "call-1", "approve": True},
    "text": {"content": {"source": "assistant", "text": "Good morning."}},
    "event": {"name": "connection", "data": {"recordId": "42"}},
    "sdpInvite": {"channelId": None, "data": {"sdpOffer": "v=0\r\n"}},
    "websocketToolRequest": {
        "channelId": None,
        "content": {"id": "call-1", "toolName": "show_order", "args": {"order_number": "1001"}},
    },
    "toolCall": {"content": {"id": "call-1", "toolName": "check_order_status", "args": {}}},
    "toolCallResult": {"content": {"id": "call-1", "result": {"status": "shipped"}}},
    "conversationResult": {"result": {"status": "Completed", "finishReason": "agentHangup"}},
    "error": {"data": {"message": "Too large message"}},
}

OWN: Final[dict[str, bytes]] = {
    "relay.session": frames.session_opened(
        EXAMPLE_TIME, SESSION, "support", CallType.CHAT, (f"{SESSION}.secret", 30.0), 600.0
    ),
    "relay.history": frames.history(
        EXAMPLE_TIME,
        [
            {"source": "user", "text": "Where is my order?", "at": EXAMPLE_TIME - 60},
            {"source": "assistant", "text": "It was shipped.", "at": EXAMPLE_TIME - 58},
        ],
    ),
    "relay.resumed": frames.resumed(EXAMPLE_TIME, 3, 7),
    "relay.pong": frames.pong(EXAMPLE_TIME, 7),
    "relay.queued": frames.queued(EXAMPLE_TIME, 3, 12, "secret"),
    "relay.approval_request": frames.approval_request(
        EXAMPLE_TIME,
        ApprovalRequest(
            SESSION,
            "call-1",
            "support",
            "refund_order",
            {"order_number": "1001", "amount": 25},
            "user",
            EXAMPLE_TIME,
            EXAMPLE_TIME + 20,
        ),
    ),
    "relay.approval_settled": frames.approval_settled(EXAMPLE_TIME, "call-1", approved=True),
    "relay.draining": frames.draining(EXAMPLE_TIME, EXAMPLE_TIME + 300),
    "relay.warning": frames.warning(
        EXAMPLE_TIME, "client_data_ignored", "These keys were ignored.", keys=["plan"]
    ),
    "relay.notice": control_frames.event(
        EXAMPLE_TIME, MESSAGE, 1, "notice", {"content": "Your parcel has left our house."}
    ),
    "relay.takeover": control_frames.event(
        EXAMPLE_TIME, MESSAGE, 2, "takeover", {"operator": "Ann"}
    ),
    "relay.handback": control_frames.event(
        EXAMPLE_TIME, MESSAGE, 3, "handback", {"operator": "Ann"}
    ),
    "relay.error": frames.error(EXAMPLE_TIME, TOO_MANY, SESSION, None, 5.0),
}


def example(kind: str) -> dict[str, Any]:
    """A whole frame of one of the vendor's types, or of the gateway's own that browsers send."""
    return {"type": kind, "timestamp": STAMP, **EXAMPLES[kind]}
