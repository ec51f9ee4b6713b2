"""`@tool`: a function that an agent may call."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

from app.errors import ConfigurationError
from app.tools.signature import Signature, origin_of, read

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.tools.port import Fallback, Schema, ToolContext
    from app.tools.threads import Threads

P = ParamSpec("P")
R = TypeVar("R")


class DeclaredTool(Generic[P, R]):
    """What `@tool` leaves in the module: still callable as the function, so it is easily tested."""

    def __init__(
        self, function: Callable[P, R], signature: Signature, timeout: float | None
    ) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.signature = signature
        self.timeout = timeout

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function itself, unchecked."""
        return self.function(*args, **kwargs)


@overload
def tool(function: Callable[P, R], /) -> DeclaredTool[P, R]: ...


@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    timeout: float | None = None,
) -> Callable[[Callable[P, R]], DeclaredTool[P, R]]: ...


def tool(
    function: Callable[P, R] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    timeout: float | None = None,
) -> DeclaredTool[P, R] | Callable[[Callable[P, R]], DeclaredTool[P, R]]:
    """Declare a function, synchronous or not, as a tool.

    Name, description and JSON Schema come from its signature and docstring unless they are given.
    A parameter annotated as `ToolContext` is filled in by the gateway and is not in the schema.
    `timeout` is in seconds. Raises ConfigurationError for a function that cannot be a tool.
    """

    def declare(function: Callable[P, R]) -> DeclaredTool[P, R]:
        if timeout is not None and not timeout > 0:
            raise ConfigurationError(
                [f"RELAY_TOOLS: {origin_of(function)}: a timeout is more than 0"]
            )
        return DeclaredTool(function, read(function, name, description), timeout)

    return declare if function is None else declare(function)


class FunctionTool:
    """A declared tool with the threads that its synchronous function may run in."""

    fallback_result: Fallback | None = None

    def __init__(self, declared: DeclaredTool[..., Any], threads: Threads) -> None:
        self._signature = declared.signature
        self._function = declared.function
        self._threads = threads
        self.name = declared.signature.name
        self.description = declared.signature.description
        self.parameters: Schema = declared.signature.parameters
        self.timeout = declared.timeout
        self.origin = origin_of(declared.function)

    async def call(self, args: Any, ctx: ToolContext) -> Any:
        """Check the arguments and run the function; raises BadArgs and what the function raises."""
        given = self._signature.arguments(args)
        if self._signature.context is not None:
            given[self._signature.context] = ctx
        if inspect.iscoroutinefunction(self._function):
            return await self._function(**given)
        answer = await self._threads.run(functools.partial(self._function, **given))
        # A wrapper that is not itself asynchronous may still hand back a coroutine.
        return await answer if inspect.isawaitable(answer) else answer
