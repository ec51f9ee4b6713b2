"""An MCP server made with the official SDK, to be run with `stdio [NOTE]` or `http PORT`."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import uvicorn
from mcp.server.mcpserver import Context, MCPServer

server = MCPServer("orders", log_level="ERROR")


@server.tool()
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool(name="find-order", structured_output=False)
def find_order(number: str) -> str:
    """Find an order."""
    return f"order {number}"


@server.tool()
def fail() -> str:
    """Fail."""
    raise ValueError("canary-of-the-server")


@server.tool()
async def hang() -> str:
    """Never answer."""
    await asyncio.Event().wait()
    return ""


@server.tool(structured_output=False)
def large() -> str:
    """Answer at length."""
    return "x" * 400_000


@server.tool()
def who(ctx: Context[Any, Any]) -> dict[str, Any]:
    """Tell what is known of the caller, and of the process."""
    meta = ctx.request_context.meta or {}
    return {
        "context": dict(meta).get("blackbox-relay/context"),
        "pid": os.getpid(),
        "relay_variables": [name for name in os.environ if name.startswith("RELAY_")],
        "note": os.environ.get("NOTE"),
    }


@server.tool()
def leave() -> str:
    """End the process at once."""
    os._exit(3)


if __name__ == "__main__":
    if sys.argv[1] == "stdio":
        if len(sys.argv) > 2:
            Path(sys.argv[2]).write_text(str(os.getpid()))
        server.run("stdio")
    else:
        app = server.streamable_http_app(host="127.0.0.1")
        uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="error")
