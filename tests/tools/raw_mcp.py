"""An MCP server written by hand: its listing and its answers are what a test writes.

As a program it serves stdio: `raw_mcp.py SCRIPT`, where the script is JSON as `Script` has it.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from typing import Any

from tests.egress.server import Seen, answer

OBJECT = {"type": "object"}


def tool(name: str, parameters: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"name": name, "inputSchema": parameters or OBJECT, **more}


def text(said: str, **more: Any) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": said}], **more}


@dataclass
class Script:
    """What a server lists and answers; a call of `echo` gets its arguments back."""

    tools: list[dict[str, Any]]
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    cursor: str | None = None

    def reply(self, message: dict[str, Any]) -> dict[str, Any] | None:
        """Answer one JSON-RPC message; None for a notification."""
        if "id" not in message:
            return None
        method, params = message["method"], message.get("params", {})
        if method == "initialize":
            result: dict[str, Any] = {
                "protocolVersion": "2025-06-18",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "raw", "version": "1"},
            }
        elif method == "tools/list":
            result = {"tools": self.tools}
            if self.cursor is not None:
                result["nextCursor"] = self.cursor
        elif method == "tools/call" and params["name"] == "echo":
            given = params.get("arguments")
            result = text(json.dumps(given), structuredContent={"got": given})
        elif method == "tools/call" and params["name"] in self.answers:
            result = self.answers[params["name"]]
        else:
            result = {"error": {"code": -32601, "message": "Method not found"}}
        kind = {"error": result["error"]} if "error" in result else {"result": result}
        return {"jsonrpc": "2.0", "id": message["id"], **kind}


class OverHttp:
    """The script over HTTP, with sessions that `restart` forgets; `asked` holds each method."""

    def __init__(self, script: Script, refusal: bytes | None = None) -> None:
        self.script = script
        self.refusal = refusal
        self.asked: list[str] = []
        self.headers: dict[str, str] = {}
        self.mark = b""
        self.session = 1
        self.sessionless = False

    def restart(self) -> None:
        self.session += 1

    def __call__(self, seen: Seen) -> bytes:
        if seen.method != "POST":
            return answer(405, b"")
        message = seen.json
        self.asked.append(message["method"])
        begins = message["method"] in {"initialize", "server/discover"}
        known = seen.headers.get("mcp-session-id") == f"session-{self.session}"
        if not begins and not known:
            if self.refusal is not None:
                return self.refusal
            refused = {"code": -32001, "message": "Session not found"}
            return answer(
                404,
                {"jsonrpc": "2.0", "id": message.get("id"), "error": refused},
                content_type="application/json",
            )
        reply = self.script.reply(message)
        if reply is None:
            return answer(202, b"")
        headers = {"content_type": "application/json", **self.headers}
        if message["method"] == "initialize":
            headers["mcp_session_id"] = f"session-{self.session}"
        return answer(200, self.mark + json.dumps(reply).encode(), **headers)


if __name__ == "__main__":
    script = Script(**json.loads(sys.argv[1]))
    for line in sys.stdin:
        reply = script.reply(json.loads(line))
        if reply is not None:
            print(json.dumps(reply), flush=True)
