"""A declared function as one of the gateway's tools."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

from blackbox_relay.declare import DeclaredTool, tool
from blackbox_relay.signature import origin_of

if TYPE_CHECKING:
    from app.tools.interface import Fallback, Schema, ToolContext
    from app.tools.threads import DaemonThreads

__all__ = ["DeclaredTool", "FunctionTool", "tool"]


class FunctionTool:
    """A declared tool with the threads that its synchronous function may run in."""

    fallback_result: Fallback | None = None

    def __init__(self, declared: DeclaredTool[..., Any], threads: DaemonThreads) -> None:
        self._signature = declared.signature
        self._function = declared.function
        self._threads = threads
        self.name = declared.signature.name
        self.description = declared.signature.description
        self.parameters: Schema = declared.signature.parameters
        self.timeout = declared.timeout
        self.origin = origin_of(declared.function)

    def checked(self, args: Any) -> Any:
        """Return the arguments that the function gets; raises BadArgs."""
        return self._signature.arguments(args)

    async def call(self, args: Any, ctx: ToolContext) -> Any:
        """Check the arguments and run the function; raises BadArgs and what the function raises."""
        given = self.checked(args)
        if self._signature.context is not None:
            given[self._signature.context] = ctx
        if inspect.iscoroutinefunction(self._function):
            return await self._function(**given)
        answer = await self._threads.run(functools.partial(self._function, **given))
        # A wrapper that is not itself asynchronous may still hand back a coroutine.
        return await answer if inspect.isawaitable(answer) else answer
