"""Tools of a scenario that are answered in place, in a gateway of this process."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from app.cli.scenarios.judge import has_arguments
from app.tools import ToolError
from app.tools.interface import ToolFailed
from blackbox_relay.causes import Cause

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from app.cli.scenarios.model import Mock
    from app.tools.interface import Fallback, Schema, Tool, ToolContext

Mocks = dict[str, "Mapping[str, Sequence[Mock]]"]
"""The mocks of each scenario that runs, by its sessions' subject."""


def answer_of(mocks: Sequence[Mock], args: Any) -> Mock | None:
    """The first of several answers that is for these arguments."""
    return next((mock for mock in mocks if has_arguments(mock.args, args)), None)


class MockedTool:
    """A tool that answers the sessions of scenarios that mock it; for others it is what it was."""

    description = "Answered by the scenario."
    timeout = None
    fallback_result: Fallback | None = None
    origin = "scenario"

    def __init__(self, name: str, mocks: Mocks, real: Tool | None) -> None:
        self.name = name
        self._mocks = mocks
        self._real = real

    @property
    def parameters(self) -> Schema:
        """Any arguments: what they must be, the scenario says."""
        return {"type": "object"}

    def checked(self, args: Any) -> Any:
        """Any arguments will do."""
        return args

    async def call(self, args: Any, ctx: ToolContext) -> Any:
        """Answer as the scenario says, else run the real tool."""
        mocks = self._mocks.get(ctx.principal.subject, {}).get(self.name)
        if mocks is None:
            if self._real is None:
                raise ToolFailed(Cause.TOOL_RAISED)
            return await self._real.call(args, ctx)
        mock = answer_of(mocks, args)
        if mock is None:
            raise ToolError("The scenario has no answer for these arguments.")
        await asyncio.sleep(mock.delay)
        if mock.error is not None:
            raise ToolError(mock.error)
        return mock.result
