"""What a tool, or its declaration, may raise."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from blackbox_relay.causes import Cause

if TYPE_CHECKING:
    from collections.abc import Sequence


KNOWN: Final = frozenset(Cause)
MAX_MESSAGE: Final = 2000
_UNSPEAKABLE: Final = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


class RelayError(Exception):
    """Whatever this gateway raises on purpose."""


class ConfigurationError(RelayError):
    """The environment is wrong; `faults` holds one line each, naming the variable."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)


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
