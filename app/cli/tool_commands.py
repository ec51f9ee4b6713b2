"""Tools from the shell: what is registered, and one call of one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app.bootstrap.tool_set import open_tools
from app.protocol.principal import CallType, Principal
from app.protocol.tool import ToolCall, ToolResult
from app.tools import ToolContext, ToolExecutor

if TYPE_CHECKING:
    from app.settings import Settings


async def rows(settings: Settings) -> list[tuple[str, str, str]]:
    """A row for each registered tool: its name, where it comes from, what it is for."""
    async with open_tools(settings) as registry:
        return [
            (row.name, row.origin, row.description.split("\n")[0][:100])
            for row in registry.describe()
        ]


async def call(settings: Settings, name: str, args: Any) -> ToolResult:
    """Call one tool as an agent would, for a subject called `shell`."""
    async with open_tools(settings) as registry:
        context = ToolContext("shell", "shell", CallType.CHAT, Principal("shell", "shell"))
        runner = ToolExecutor(registry, timeout=settings.tool_timeout)
        return await runner.run(ToolCall("shell", name, args), context)
