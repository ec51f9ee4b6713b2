"""From settings to the registered tools, and the MCP servers that bring some of them.

What is not configured is not imported either: the MCP SDK would take
longer to load than all the rest, at every start of every replica.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.bootstrap.egress_clients import egress
from app.bootstrap.outbound import outbound
from app.egress.addresses import AllowedHosts
from app.telemetry.traces import inject
from app.tools import Registry
from app.tools.http import http_tools
from app.tools.registry import load as load_tools
from app.tools.threads import DaemonThreads

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

    from app.bootstrap.outbound import Outbound
    from app.settings import Settings
    from app.tools.interface import Tool
    from app.tools.mcp import McpTools


@dataclass(frozen=True, slots=True)
class ToolSet:
    """Every registered tool, and the MCP servers that bring some of them."""

    registry: Registry
    mcp: McpTools | None

    async def run(self) -> None:
        """Keep MCP servers connected until cancelled."""
        if self.mcp is not None:
            await self.mcp.run()


def tool_set(settings: Settings, client: httpx.AsyncClient, out: Outbound) -> ToolSet:
    """Import, read and check every tool. Raises ConfigurationError."""
    tools: list[Tool] = [
        *load_tools(settings.tools, DaemonThreads()),
        *http_tools(settings.http_tools, client, timeout=settings.tool_timeout, propagate=inject),
    ]
    if not settings.mcp_servers:
        return ToolSet(Registry(tools), None)
    from app.tools.mcp import McpTools  # noqa: PLC0415 - see above
    from app.tools.mcp_spec import mcp_servers  # noqa: PLC0415
    from app.tools.mcp_transport import Reach  # noqa: PLC0415

    servers = McpTools(
        mcp_servers(settings.mcp_servers),
        timeout=settings.tool_timeout,
        allowed=AllowedHosts.parse(settings.webhook_allowed_hosts),
        taken={tool.name for tool in tools},
        reach=Reach(out.tls, out.proxies),
    )
    return ToolSet(Registry(tools, [servers]), servers)


def tool_names(settings: Settings) -> frozenset[str]:
    """The names of the function and HTTP tools; MCP servers are not asked."""
    functions = load_tools(settings.tools, DaemonThreads())
    return frozenset(
        {tool.name for tool in functions} | {str(name) for name in settings.http_tools}
    )


@asynccontextmanager
async def open_tools(settings: Settings) -> AsyncIterator[Registry]:
    """The registered tools alone, for the shell; MCP servers have been asked once.

    Raises ConfigurationError.
    """
    out = outbound(settings)
    clients = egress(settings, out)
    try:
        # Outside of the group, which would wrap a fault of the configuration in one of its own.
        box = tool_set(settings, clients.tools, out)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(box.run(), name="tools")
            if box.mcp is not None:
                await box.mcp.discovered()
            yield box.registry
            running.cancel()
    finally:
        await clients.close()
