"""`@tool`: a function that an agent may call."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Generic, ParamSpec, TypeVar, overload

from blackbox_relay.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from blackbox_relay.signature import Signature

P = ParamSpec("P")
R = TypeVar("R")


class DeclaredTool(Generic[P, R]):
    """What `@tool` leaves in the module: still callable as the function, so it is easily tested."""

    __name__: str  # the function's

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
    from blackbox_relay.signature import origin_of, read  # noqa: PLC0415 - brings pydantic along

    def declare(function: Callable[P, R]) -> DeclaredTool[P, R]:
        if timeout is not None and not timeout > 0:
            raise ConfigurationError(
                [f"RELAY_TOOLS: {origin_of(function)}: a timeout is more than 0"]
            )
        return DeclaredTool(function, read(function, name, description), timeout)

    return declare if function is None else declare(function)
