"""What every tool is, wherever it runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from app.errors import RelayError
from app.tools.causes import Cause

if TYPE_CHECKING:
    from app.protocol.principal import CallType, Principal

# The vendor's pattern (D). It sets no length; this one keeps names fit for metrics and logs.
NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,127}")

KNOWN: Final = frozenset(Cause)
MAX_MESSAGE: Final = 2000
_UNSPEAKABLE: Final = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]")

Schema = Mapping[str, Any]


class ToolFailed(RelayError):  # noqa: N818 - what happened, as in the error tree
    """A tool did not answer usably. `cause` and `facts` are for logs; agents never see them.

    A cause that is none of `Cause` comes from a Python tool's own code: it raised.
    """

    def __init__(self, cause: str, **facts: str | int) -> None:
        super().__init__(cause)
        self.cause = Cause(cause) if cause in KNOWN else Cause.TOOL_RAISED
        self.facts = facts


class ToolError(RelayError):
    """A tool says what is wrong in a sentence that the agent may use.

    A Python tool raises it; an MCP server's error result and the JSON body of a handler's 4xx
    become one. The sentence is cut at 2000 characters, and control characters become spaces.
    """

    def __init__(self, message: str) -> None:
        self.message = told(message)
        super().__init__(self.message)


def told(message: str) -> str:
    """Make a foreign text fit for an agent: bounded, of printable Unicode."""
    text = _UNSPEAKABLE.sub(" ", message[: 2 * MAX_MESSAGE]).strip()
    return text if len(text) <= MAX_MESSAGE else text[: MAX_MESSAGE - 1] + "…"


class BadArgs(RelayError):  # noqa: N818
    """The arguments do not fit the tool's schema. `fault` says where and how, without values."""

    def __init__(self, fault: str) -> None:
        super().__init__(fault)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Fallback:
    """A result that stands in when a tool fails (the vendor's `fallBackResult`, D)."""

    result: Any


@dataclass(frozen=True, slots=True)
class ToolContext:
    """For whom a tool runs: nothing here can be forged by a browser or made up by a model.

    `additional_data` is the credential's verified mapping, `call_id` the agent's id of this call.
    """

    session_id: str
    agent: str
    call_type: CallType
    principal: Principal = field(repr=False)
    additional_data: Mapping[str, Any] = field(default_factory=dict, repr=False)
    call_id: str = ""


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

    async def call(self, args: Any, ctx: ToolContext) -> Any:
        """Check `args` and run. Raises BadArgs, ToolFailed, ToolError, and what its code raises."""
        ...
