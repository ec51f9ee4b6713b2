"""What every tool is, wherever it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from blackbox_relay.context import ToolContext
from blackbox_relay.errors import BadArgs, ToolError, ToolFailed, told
from blackbox_relay.schema import Schema
from blackbox_relay.signature import NAME

__all__ = [
    "NAME",
    "BadArgs",
    "Fallback",
    "Schema",
    "Tool",
    "ToolContext",
    "ToolError",
    "ToolFailed",
    "told",
]


@dataclass(frozen=True, slots=True)
class Fallback:
    """A result that stands in when a tool fails (the vendor's `fallBackResult`, D)."""

    result: Any


class Tool(Protocol):
    """One tool, ready to be called.

    `timeout` is in seconds, None for the configured default. `origin` says where it comes from,
    for people: a module, a host, a server.
    """

    @property
    def name(self) -> str:
        """The name by which the agent calls it."""
        ...

    @property
    def description(self) -> str:
        """When to use it, for the agent's model."""
        ...

    @property
    def parameters(self) -> Schema:
        """The JSON Schema of its arguments."""
        ...

    @property
    def timeout(self) -> float | None:
        """How long a call may take, in seconds."""
        ...

    @property
    def fallback_result(self) -> Fallback | None:
        """What the agent gets when a call fails."""
        ...

    @property
    def origin(self) -> str:
        """Where the tool comes from."""
        ...

    def checked(self, args: Any) -> Any:
        """Return `args` as the tool takes them. Raises BadArgs, and what its own code raises."""
        ...

    async def call(self, args: Any, ctx: ToolContext) -> Any:
        """Check `args` and run. Raises BadArgs, ToolFailed, ToolError, and what its code raises."""
        ...
