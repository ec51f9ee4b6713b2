"""The rules of tool calls: who runs one, who may answer it, and that it is answered once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from app.protocol import frames
from app.protocol.actions import (
    FORWARD,
    NOTHING,
    Actions,
    AwaitBrowserTool,
    Count,
    RunTool,
    ToolSettled,
    ToUpstream,
    WantHuman,
)
from app.protocol.close_codes import FORBIDDEN
from app.protocol.takeover import REQUEST_HUMAN, REQUESTED, reason_of
from app.protocol.tool import Outcome, ToolCall, ToolResult, failure
from app.protocol.tool_ledger import Pending, ToolLedger
from app.protocol.validation import FrameRejected, response_id

if TYPE_CHECKING:
    from app.protocol.initialize import Profile

MAX_CALL_ID: Final = 256


def requested_call(frame: dict[str, Any]) -> ToolCall | None:
    """The call that a tool request asks for; None where its shape is wrong."""
    content = frame.get("content")
    if type(content) is not dict:
        return None
    call_id, name = content.get("id"), content.get("toolName")
    if type(call_id) is not str or len(call_id) > MAX_CALL_ID:
        return None
    return ToolCall(call_id, name if type(name) is str else "", content.get("args"))


class ToolRules:
    """Decides about the calls in a `ToolLedger`. `tools` names what the backend can run."""

    def __init__(self, profile: Profile, tools: frozenset[str]) -> None:
        self._tools = tools if profile.tools is None else tools & profile.tools
        self._browser_tools = profile.browser_tools
        self._offers_human = REQUEST_HUMAN in (profile.tools or ()) and REQUEST_HUMAN not in tools

    def requested(
        self,
        calls: ToolLedger,
        call: ToolCall,
        channel: Any,
        payload: bytes,
        number: int,
        now: float,
        *,
        is_taken: bool = False,
    ) -> Actions:
        """Judge a request; `number` is what it would have among the browser's frames.

        `is_taken`: a person speaks instead of the agent, and runs no tools.
        """
        if (answer := calls.answer_to(call.id)) is not None:
            return (Count("repeated_tool_id"), ToUpstream(answer))
        if calls.knows(call.id):
            return (Count("repeated_tool_id"),)
        if is_taken:
            return _declined(calls, call, Outcome.TAKEN_OVER, channel, now)
        return self._started(calls, call, channel, payload, number, now)

    def _started(
        self,
        calls: ToolLedger,
        call: ToolCall,
        channel: Any,
        payload: bytes,
        number: int,
        now: float,
    ) -> Actions:
        """Run a new call where its tool is, or answer it here."""
        if calls.is_full:
            return _declined(calls, call, Outcome.BUSY, channel, now)
        if call.name in self._tools:
            calls.running[call.id] = Pending(call, channel)
            return (RunTool(call),)
        if call.name in self._browser_tools:
            calls.shown[call.id] = Pending(call, channel, payload, number)
            return (*FORWARD, AwaitBrowserTool(call))
        if self._offers_human and call.name == REQUEST_HUMAN:
            told = _answer(calls, ToolResult(call.id, REQUESTED, Outcome.OK), channel, now)
            return (*told, ToolSettled(call, Outcome.OK), WantHuman(reason_of(call)))
        return _declined(calls, call, Outcome.UNKNOWN, channel, now)


def browser_answered(calls: ToolLedger, frame: dict[str, Any], payload: bytes) -> Actions:
    """Forward the answer of a browser's tool: once, and only if it was asked for.

    Raises `FrameRejected`.
    """
    call_id = response_id(frame) or ""
    if (pending := calls.shown.get(call_id)) is not None:
        calls.answered(call_id, payload)
        return (ToUpstream(payload), ToolSettled(pending.call, Outcome.OK))
    if calls.answer_to(call_id) is not None and call_id not in calls.running:
        return NOTHING  # too late: the agent has its answer, and the browser could not know
    raise FrameRejected(FORBIDDEN, "No such tool call is waiting.", "unasked_response")


def finished(calls: ToolLedger, result: ToolResult, now: float) -> Actions:
    """Answer the agent with a tool's result, unless it has an answer already."""
    pending = calls.running.get(result.id) or calls.shown.get(result.id)
    return NOTHING if pending is None else _answer(calls, result, pending.channel, now)


def blocked(
    calls: ToolLedger, call: ToolCall, channel: Any, message: str | None, now: float
) -> Actions:
    """Answer a call that a guardrail blocks, unless it runs or has an answer already."""
    if calls.knows(call.id):
        return NOTHING
    if (answer := calls.answer_to(call.id)) is not None:
        return (Count("repeated_tool_id"), ToUpstream(answer))
    return _declined(calls, call, Outcome.BLOCKED, channel, now, message)


def _declined(
    calls: ToolLedger,
    call: ToolCall,
    outcome: Outcome,
    channel: Any,
    now: float,
    message: str | None = None,
) -> Actions:
    """Answer what is not run at all: the agent never waits in vain."""
    answer = _answer(calls, failure(call, outcome, message), channel, now)
    return (*answer, ToolSettled(call, outcome))


def _answer(calls: ToolLedger, result: ToolResult, channel: Any, now: float) -> Actions:
    payload = frames.tool_response(now, result, channel)
    calls.answered(result.id, payload)
    return (ToUpstream(payload),)
