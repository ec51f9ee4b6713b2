"""The tools of MCP servers, kept up to date for the time of a block."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from app.tools.mcp import McpTools
from app.tools.mcp_spec import mcp_servers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def mcp_tools(written: dict[str, Any], **options: Any) -> AsyncIterator[McpTools]:
    """Tools of the servers that RELAY_MCP_SERVERS would name so."""
    tools = McpTools(mcp_servers(written), **{"timeout": 20, "first_pause": 0.1, **options})
    task = asyncio.ensure_future(tools.run())
    try:
        yield tools
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
