"""One MCP server: connected, listed, asked, and reconnected when it is lost.

Importing this loads the SDK, see `mcp`.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import anyio
import structlog
from mcp.shared.exceptions import MCPError
from mcp_types import (
    CONNECTION_CLOSED,
    HEADER_MISMATCH,
    INVALID_PARAMS,
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
)
from pydantic import ValidationError

from app.backoff import Backoff
from app.tools.interface import ToolContext, ToolError, ToolFailed
from app.tools.mcp_answer import Listed, listed
from app.tools.mcp_connect import ASKED, STEP_TIMEOUT, Asked, Road, connected, loss_of
from blackbox_relay.causes import Cause

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcp import Client
    from mcp_types import Tool as Found

    from app.tools.mcp_spec import McpServerSpec
    from app.tools.mcp_transport import Way


log = structlog.get_logger(__name__)

MAX_TOOLS: Final = 256
MAX_PAGES: Final = 32
REFRESH: Final = 30.0
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0
# Seconds in which calls of a session that was lost may still be answered.
LAST_ANSWERS: Final = 2.0
GONE: Final = (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream)
CONTEXT_KEY: Final = "blackbox-relay/context"


class McpServer:
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
        self.found: dict[str, Listed] = {}
        self.tried = asyncio.Event()
        self._way = way
        self._refresh = refresh
        self._first_pause = first_pause
        self._changed = changed
        self._client: Client | None = None
        self._asking = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._doubted = asyncio.Event()
        self._session_lost = asyncio.Event()
        # Cleared while a session that the server has forgotten is begun anew: calls wait for it.
        self._settled = asyncio.Event()
        self._settled.set()

    async def run(self) -> None:
        """Keep the server connected until cancelled."""
        loop = asyncio.get_running_loop()
        backoff = Backoff(self._first_pause, max(self._first_pause, LONGEST_PAUSE))
        failures = 0
        while True:
            begun = loop.time()
            road = Road(self._forgotten)
            self._session_lost.clear()
            try:
                async with connected(self.spec, self._way, road) as client:
                    await self._serve(client)
                renewed = True
            except Exception as error:  # noqa: BLE001 - foreign code, and whatever a network does
                if self._client is not None:
                    failures = 0
                # The server has forgotten a session that was good: that is no loss of the server.
                renewed = self._client is not None and road.session_lost
                if not renewed:
                    cause = loss_of(error, road)
                    log.warning("mcp_server_lost", server=self.name, cause=cause.value)
            finally:
                self._client = None
            self.tried.set()
            if renewed:
                log.info("mcp_session_renewed", server=self.name)
                if loop.time() - begun >= self._first_pause:
                    continue
            else:
                self._settled.set()
            failures += 1
            await asyncio.sleep(backoff.after(failures))

    def _forgotten(self) -> None:
        """Begin a new session at once; calls that come meanwhile wait for it."""
        self._settled.clear()
        self._session_lost.set()
        self._doubted.set()

    async def _serve(self, client: Client) -> None:
        """List the tools now and again until the session is lost; a doubtful call makes it now."""
        while not self._session_lost.is_set():
            self._doubted.clear()
            found = await self._list(client)
            if self._client is None:
                log.info("mcp_server_found", server=self.name, tools=len(found))
            self._client = client
            if {name: tool.found for name, tool in self.found.items()} != found:
                self.found = {name: self._listed(name, tool) for name, tool in found.items()}
                self._changed()
            self._settled.set()
            self.tried.set()
            # A pause also after a doubt, so that failing calls do not become a storm of lists.
            with suppress(TimeoutError):
                async with asyncio.timeout(min(self._first_pause, self._refresh)):
                    await self._session_lost.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._refresh):
                    await self._doubted.wait()
        # Calls of the lost session that are under way may still be answered.
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_ANSWERS):
                await self._idle.wait()

    def _listed(self, name: str, found: Found) -> Listed:
        """Read a tool, unless it is the one that was known: so a warning comes once."""
        known = self.found.get(name)
        return known if known is not None and known.found == found else listed(self.name, found)

    async def _list(self, client: Client) -> dict[str, Found]:
        found: dict[str, Found] = {}
        asked: set[str | None] = set()
        cursor: str | None = None
        # An empty cursor is the end, and so is one that came before: servers write both.
        while cursor not in asked and len(asked) < MAX_PAGES and len(found) <= MAX_TOOLS:
            asked.add(cursor)
            page = await client.list_tools(cursor=cursor)
            for tool in page.tools:
                if self.spec.tools is None or tool.name in self.spec.tools:
                    found.setdefault(tool.name, tool)
            cursor = page.next_cursor or None
        return dict(list(found.items())[:MAX_TOOLS])

    async def call(self, tool: Listed, args: dict[str, Any], ctx: ToolContext) -> CallToolResult:
        """Call a tool; raises ToolFailed, and ToolError where the server refuses the arguments."""
        meta: Any = {CONTEXT_KEY: _context(ctx)} if self.spec.share_context else None
        params = CallToolRequestParams(name=tool.found.name, arguments=args, _meta=meta)
        request = CallToolRequest(params=params)
        try:
            # This deadline is ours, not the SDK's, whose time-out has a code that servers use too.
            async with asyncio.timeout(self.timeout):
                return await self._ask_twice(request)
        except TimeoutError:
            self._doubted.set()
            raise ToolFailed(Cause.TIMEOUT) from None
        except MCPError as error:
            self._doubted.set()
            if error.code == CONNECTION_CLOSED:
                raise ToolFailed(Cause.MCP_SERVER_LOST) from None
            if error.code == INVALID_PARAMS:
                raise ToolError(error.message) from None
            raise ToolFailed(Cause.MCP_ERROR, code=error.code) from None
        except ValidationError:
            raise ToolFailed(Cause.MCP_ANSWER_INVALID) from None
        except (*GONE, OSError):
            self._doubted.set()
            raise ToolFailed(Cause.MCP_SERVER_LOST) from None

    async def _ask_twice(self, request: CallToolRequest) -> CallToolResult:
        """Ask, and once more where the server has refused to look at the request."""
        asked = Asked()
        client = await self._ready()
        try:
            return await self._ask(client, request, asked)
        except MCPError as error:
            if error.code == HEADER_MISMATCH:
                await self._list(client)  # which the SDK takes the headers from
            elif not asked.refused:
                raise
        return await self._ask(await self._ready(), request, asked)

    async def _ready(self) -> Client:
        await self._settled.wait()
        if self._client is None:
            raise ToolFailed(Cause.MCP_SERVER_LOST)
        return self._client

    async def _ask(self, client: Client, request: CallToolRequest, asked: Asked) -> CallToolResult:
        self._asking += 1
        self._idle.clear()
        token = ASKED.set(asked)
        try:
            # Not `call_tool`, which raises where an answer does not fit the tool's outputSchema.
            return await client.session.send_request(
                request, CallToolResult, request_read_timeout_seconds=self.timeout + STEP_TIMEOUT
            )
        finally:
            ASKED.reset(token)
            self._asking -= 1
            if not self._asking:
                self._idle.set()


def _context(ctx: ToolContext) -> dict[str, Any]:
    return {
        "sessionId": ctx.session_id,
        "agent": ctx.agent,
        "callType": ctx.call_type.value,
        "subject": ctx.principal.subject,
        "requestId": ctx.call_id,
        "additionalData": dict(ctx.additional_data),
    }
