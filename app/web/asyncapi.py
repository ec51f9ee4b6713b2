"""`/asyncapi.json`: every frame that may pass a browser's socket, generated from the code.

The types come from the protocol's closed sets, their schemas from `frame_schemas`.
"""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter

from app import __version__
from app.protocol.close_codes import CLOSE_REASONS
from app.protocol.frames import BROWSER_TYPES, UPSTREAM_TYPES
from app.protocol.principal import CallType
from app.web.frame_schemas import CARRIED, OWN, TEXT, example, object_schema


def document() -> dict[str, Any]:
    """The AsyncAPI 3 document."""
    to_gateway = {kind: _message(kind) for kind in sorted(BROWSER_TYPES)}
    to_browser = {kind: _message(kind) for kind in sorted(UPSTREAM_TYPES)}
    to_browser |= {name: _own(name, payload) for name, payload in OWN.items()}
    messages = {_key(name): message for name, message in (to_gateway | to_browser).items()}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Blackbox Relay",
            "version": __version__,
            "description": "What passes a browser's WebSocket. Types and fields that are not "
            "listed here pass unchanged, for the vendor adds some.",
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "channels": {
            "conversation": {
                "address": "/ws/{agent}",
                "description": "Also `/ws` for the default agent, and the vendor's own "
                "`/api/v1/ws/webCall`. The subprotocol is `blackbox-relay.v1`.",
                "parameters": {"agent": {"description": "The agent's name."}},
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
                "bindings": {"ws": {"method": "GET", "query": _query()}},
                "x-close-codes": _close_codes(),
            }
        },
        "operations": {
            "send": _operation("receive", "What a browser may send.", to_gateway),
            "receive": _operation("send", "What a browser may get.", to_browser),
        },
        "components": {"messages": messages},
    }


def _key(name: str) -> str:
    return name.replace(".", "_")


def _message(kind: str) -> dict[str, Any]:
    required, carried, meaning = CARRIED[kind]
    envelope = {"type": {"const": kind}, "timestamp": {"type": "string", "format": "date-time"}}
    given = ("type", *required) if kind in BROWSER_TYPES else ("type", "timestamp", *required)
    return {
        "name": kind,
        "summary": meaning,
        "payload": object_schema(given, **envelope, **carried),
        "examples": [{"name": kind, "payload": example(kind)}],
    }


def _own(name: str, payload: bytes) -> dict[str, Any]:
    frame = json.loads(payload)
    return {
        "name": name,
        "summary": "The gateway's own.",
        "payload": object_schema(
            ("type", "timestamp"), type={"const": frame["type"]}, timestamp=TEXT
        ),
        "examples": [{"name": name, "payload": frame}],
    }


def _operation(action: str, summary: str, messages: dict[str, Any]) -> dict[str, Any]:
    channel = "#/channels/conversation"
    return {
        "action": action,
        "channel": {"$ref": channel},
        "summary": summary,
        "messages": [{"$ref": f"{channel}/messages/{_key(name)}"} for name in messages],
    }


def _query() -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "ticket": {"type": "string", "description": "A ticket; also as `token`."},
            "call_type": {"type": "string", "enum": [kind.value for kind in CallType]},
            "endpoint": {"type": "string", "description": "The number of a phone call."},
            "wish": {"type": "string", "description": "An `initialize` follows: wait for it."},
            "resume": {"type": "string", "description": "The token from `relay.session`."},
            "session": {
                "type": "string",
                "description": "Join this chat of the same subject: its `sessionId`.",
            },
            "received": {"type": "integer", "description": "The browser's own count."},
            "turn": {
                "type": "string",
                "description": "The `turn` of an earlier `relay.queued`: wait on at that position.",
            },
            "attempt": {
                "type": "integer",
                "description": "Greater with each attempt to resume: one that is late is known.",
            },
        },
    }


def _close_codes() -> list[dict[str, Any]]:
    return [
        {
            "code": reason.code,
            "name": reason.name,
            "message": reason.message,
            "retry": reason.retry.value,
        }
        for reason in CLOSE_REASONS
    ]


def routes() -> APIRouter:
    """`/asyncapi.json`."""
    router = APIRouter(tags=["pages"])
    written = document()

    @router.get("/asyncapi.json", include_in_schema=False)
    async def asyncapi() -> dict[str, Any]:
        return written

    return router
