"""Tools of MCP servers, which come and go while the gateway runs.

Importing this loads the SDK, which takes a moment: import it only where servers are configured.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import structlog
from mcp.shared.exceptions import MCPError
from mcp_types import REQUEST_TIMEOUT

from app.egress import AllowedHosts, Resolve, system_resolve
from app.tools.mcp_connect import connected
from app.tools.mcp_spec import McpServerSpec, assign
from app.tools.mcp_transport import Reach, Way
from app.tools.port import ToolContext, ToolFailed
from app.tools.schema import ArgsCheck

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from mcp import Client
    from mcp_types import CallToolResult
    from mcp_types import Tool as Found

    from app.tools.port import Fallback, Schema, Tool

log = structlog.get_logger(__name__)

MAX_TOOLS: Final = 256
MAX_PAGES: Final = 32
REFRESH: Final = 30.0
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0
CONTEXT_KEY: Final = "blackbox-relay/context"


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
            name: _Server(
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
            for server in self._servers.values():
                group.create_task(server.run())

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


class _Server:
    """One server: connected, listed, listed again, and reconnected when it is lost."""

    def __init__(
        self,
        name: str,
        spec: McpServerSpec,
        way: Way,
        *,
        timeout: float,
        refresh: float,
        first_pause: float,
        changed: Callable[[], None],
    ) -> None:
        self.name = name
        self.spec = spec
        self.timeout = timeout
        self.found: dict[str, Found] = {}
        self.tried = asyncio.Event()
        self._way = way
        self._refresh = refresh
        self._first_pause = first_pause
        self._changed = changed
        self._client: Client | None = None
        self._doubted = asyncio.Event()

    async def run(self) -> None:
        pause = self._first_pause
        while True:
            try:
                async with connected(self.spec, self._way) as client:
                    await self._serve(client)
            except Exception as error:  # noqa: BLE001 - foreign code, and whatever a network does
                if self._client is not None:
                    pause = self._first_pause
                log.warning("mcp_server_lost", server=self.name, cause=_cause(error))
            finally:
                self._client = None
            self.tried.set()
            await asyncio.sleep(random.uniform(pause / 2, pause))  # noqa: S311 - jitter
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _serve(self, client: Client) -> None:
        """List the tools now and again; a call that went wrong makes it now."""
        while True:
            self._doubted.clear()
            found = await self._list(client)
            if self._client is None:
                log.info("mcp_server_found", server=self.name, tools=len(found))
            self._client = client
            if found != self.found:
                self.found = found
                self._changed()
            self.tried.set()
            # A pause also after a doubt, so that failing calls do not become a storm of lists.
            await asyncio.sleep(min(self._first_pause, self._refresh))
            with suppress(TimeoutError):
                async with asyncio.timeout(self._refresh):
                    await self._doubted.wait()

    async def _list(self, client: Client) -> dict[str, Found]:
        found: dict[str, Found] = {}
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            page = await client.list_tools(cursor=cursor)
            for tool in page.tools:
                if self.spec.tools is None or tool.name in self.spec.tools:
                    found.setdefault(tool.name, tool)
            cursor = page.next_cursor
            if cursor is None or len(found) > MAX_TOOLS:
                break
        return dict(list(found.items())[:MAX_TOOLS])

    async def call(self, tool: str, args: Any, ctx: ToolContext) -> Any:
        if self._client is None:
            raise ToolFailed("mcp_server_lost")
        meta: Any = {CONTEXT_KEY: _context(ctx)} if self.spec.share_context else None
        try:
            result = await self._client.call_tool(
                tool, args, read_timeout_seconds=self.timeout, meta=meta
            )
        except MCPError as error:
            self._doubted.set()
            timed_out = error.code == REQUEST_TIMEOUT
            raise ToolFailed("timeout" if timed_out else "mcp_error") from None
        except Exception:
            self._doubted.set()
            raise
        if result.is_error:
            raise ToolFailed("mcp_tool_error")
        return _plain(result)


class _McpTool:
    """One tool of a server under its name here."""

    fallback_result: Fallback | None = None

    def __init__(self, name: str, server: _Server, found: Found) -> None:
        self.name = name
        self.description = found.description or found.title or ""
        self.parameters: Schema = found.input_schema
        self.timeout = server.timeout
        self.origin = f"{server.spec.origin} ({server.name}: {found.name})"
        self._server = server
        self._called = found.name
        try:
            self._check: ArgsCheck | None = ArgsCheck(found.input_schema)
        except ValueError:
            log.warning("mcp_tool_schema_is_none", server=server.name)
            self._check = None

    async def call(self, args: Any, ctx: ToolContext) -> Any:
        """Check the arguments and call the server; raises BadArgs, ToolFailed and the SDK's."""
        if self._check is None:
            raise ToolFailed("schema_is_none")
        args = {} if args is None else args
        self._check.check(args)
        return await self._server.call(self._called, args, ctx)


def _plain(result: CallToolResult) -> Any:
    """Return the structured content if there is some, else the text, else every block."""
    if result.structured_content is not None:
        return result.structured_content
    blocks = [block.model_dump(mode="json", exclude_none=True) for block in result.content]
    if all(block.get("type") == "text" for block in blocks):
        return "\n".join(str(block["text"]) for block in blocks)
    return blocks


def _context(ctx: ToolContext) -> dict[str, Any]:
    return {
        "sessionId": ctx.session_id,
        "agent": ctx.agent,
        "callType": ctx.call_type.value,
        "subject": ctx.principal.subject,
        "requestId": ctx.call_id,
        "additionalData": dict(ctx.additional_data),
    }


def _cause(error: BaseException) -> str:
    """Name the innermost class; texts may hold URLs and payloads."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return type(error).__name__
