"""Tools of MCP servers, which come and go while the gateway runs.

Importing this loads the SDK, which takes a moment: import it only where servers are configured.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import structlog

from app.egress import AllowedHosts, Resolve, system_resolve
from app.tools.mcp_server import FIRST_PAUSE, REFRESH, McpServer
from app.tools.mcp_spec import McpServerSpec, assign
from app.tools.mcp_transport import Reach, Way

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from app.tools.interface import Fallback, Schema, Tool, ToolContext
    from app.tools.mcp_answer import Listed

log = structlog.get_logger(__name__)


class McpTools:
    """Every configured server's tools: a source for the registry. `run` must be running.

    `taken` are the names that are given already. Two servers with a tool of one name are told apart
    by the order of the configuration, among those that were found: a `prefix` settles it for good.
    `refresh` is the time in seconds after which a
    server's list is asked for again, `first_pause` that before the first new attempt to connect.
    """

    def __init__(
        self,
        servers: Mapping[str, McpServerSpec],
        *,
        timeout: float,
        allowed: AllowedHosts | None = None,
        taken: Collection[str] = (),
        resolve: Resolve = system_resolve,
        reach: Reach | None = None,
        refresh: float = REFRESH,
        first_pause: float = FIRST_PAUSE,
    ) -> None:
        way = Way(allowed or AllowedHosts(), resolve, reach or Reach())
        self._taken = frozenset(taken)
        self._tools: dict[str, Tool] = {}
        self._servers = {
            name: McpServer(
                name,
                spec,
                way,
                timeout=spec.timeout or timeout,
                refresh=refresh,
                first_pause=first_pause,
                changed=self._assign,
            )
            for name, spec in servers.items()
        }

    def tools(self) -> Mapping[str, Tool]:
        """Return the tools that were found so far; those of a lost server answer with an error."""
        return self._tools

    async def run(self) -> None:
        """Keep every server connected until cancelled; children end before this does."""
        async with asyncio.TaskGroup() as group:
            for name, server in self._servers.items():
                group.create_task(server.run(), name=f"mcp:{name}")

    async def discovered(self) -> None:
        """Wait until every server has been tried once, whether it is there or not."""
        for server in self._servers.values():
            await server.tried.wait()

    def _assign(self) -> None:
        given, left = assign(
            ((name, server.spec.prefix, server.found) for name, server in self._servers.items()),
            self._taken,
        )
        self._tools = {
            name: _McpTool(name, self._servers[server], self._servers[server].found[tool])
            for name, (server, tool) in given.items()
        }
        if left:
            log.warning("mcp_tools_without_a_name", servers=sorted({server for server, _ in left}))


class _McpTool:
    """One tool of a server under its name here."""

    fallback_result: Fallback | None = None

    def __init__(self, name: str, server: McpServer, tool: Listed) -> None:
        self.name = name
        self.description = tool.found.description or tool.found.title or ""
        self.parameters: Schema = tool.found.input_schema
        self.timeout = server.timeout
        self.origin = f"{server.spec.origin} ({server.name}: {tool.found.name})"
        self._server = server
        self._tool = tool

    def checked(self, args: Any) -> Any:
        """Return the arguments that the server gets; raises BadArgs."""
        return self._tool.arguments(args)

    async def call(self, args: Any, ctx: ToolContext) -> Any:
        """Check the arguments and call the server; raises BadArgs, ToolFailed and ToolError."""
        answer = await self._server.call(self._tool, self.checked(args), ctx)
        return self._tool.result(answer)
