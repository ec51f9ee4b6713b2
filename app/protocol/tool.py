"""A tool call and its one result, as values.

The agent asks by `websocketToolRequest` with `content: {id, toolName, args}` (D L) and waits
for exactly one `websocketToolResponse` with the same id.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final


class Outcome(StrEnum):
    """How a tool call ended; the closed set behind the metric's label."""

    OK = "ok"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    TOOL_ERROR = "tool_error"
    BAD_ARGS = "bad_args"
    UNKNOWN = "unknown"
    FALLBACK = "fallback"
    CANCELLED = "cancelled"
    BUSY = "busy"
    BLOCKED = "blocked"
    NOT_APPROVED = "not_approved"
    TAKEN_OVER = "taken_over"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """What the agent asked for. `args` is whatever JSON it sent: unchecked until it is run."""

    id: str
    name: str
    args: Any


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What the agent is told. `result` is JSON; it never holds an exception's text.

    A text that a tool wrote for the agent on purpose is another matter (`TOOL_ERROR`).
    """

    id: str
    result: Any
    outcome: Outcome


DEFAULT_MESSAGES: Final = {
    Outcome.TIMEOUT: "The tool took too long to answer.",
    Outcome.CRASHED: "The tool failed.",
    Outcome.TOOL_ERROR: "The tool failed.",
    Outcome.BAD_ARGS: "The arguments do not fit this tool.",
    Outcome.UNKNOWN: "There is no such tool.",
    Outcome.BLOCKED: "This is not allowed.",
    Outcome.BUSY: "Too many tools are running at once.",
    Outcome.NOT_APPROVED: "The call was not approved.",
    Outcome.TAKEN_OVER: "A person has taken over the conversation. Wait until it is handed back.",
    Outcome.CANCELLED: "The conversation ended before the tool answered.",
}


def failure(call: ToolCall, outcome: Outcome, message: str | None = None) -> ToolResult:
    """Build the error result of a call: a code and a sentence that an agent can speak about."""
    error = {"code": outcome.value, "message": message or DEFAULT_MESSAGES[outcome]}
    return ToolResult(call.id, {"error": error}, outcome)
