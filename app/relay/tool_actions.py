"""The actions that concern tools: run one, wait for the page's answer, count the outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.protocol.actions import (
    Action,
    AwaitBrowserTool,
    DecideApproval,
    RunTool,
    ToolSettled,
)
from app.relay.approvals import Approvals
from app.relay.tool_calls import ToolCalls
from app.tools.interface import ToolContext

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping
    from typing import Any

    from app.protocol.actions import Actions
    from app.protocol.approval import SettledApproval
    from app.protocol.initialize import ResolvedInitialize
    from app.protocol.tool import ToolResult
    from app.relay.scope import Scope


class ToolActions:
    """The tools of one conversation.

    `answer` is given what the session decides about each result. `group` owns the tools' tasks;
    before there is one, and once `is_ending`, none is started. `announce` sends every page one of
    the gateway's own frames.
    """

    def __init__(
        self,
        scope: Scope,
        answer: Callable[[Actions], None],
        announce: Callable[[bytes], None],
    ) -> None:
        conversation, dependencies = scope.conversation, scope.dependencies
        self.group: asyncio.TaskGroup | None = None
        self.is_ending = False
        self._session = scope.session
        self._observer = scope.observer
        self._now = scope.now
        self._scope = scope
        self._call_type = conversation.profile.default_call_type
        self._verified: Mapping[str, Any] = {}
        self._browser_timeout = scope.limits.tool_timeout
        self._answer = answer
        executor, guard = dependencies.executor, scope.guard
        self.approvals = Approvals(scope, announce)
        self._calls = ToolCalls(
            executor if guard is None else guard.runner(executor),
            conversation.id,
            scope.limits.tool_concurrency,
            dependencies.recorder,
            self._context,
            conversation.trace,
            self._finished,
            self.approvals,
        )

    @property
    def running(self) -> int:
        """How many calls have no answer yet, the browser's included."""
        return self._calls.running

    def resolved(self, opening: ResolvedInitialize) -> None:
        """Take from the resolved `initialize` what tools are told of the conversation."""
        self._call_type = opening.call_type
        self._verified = opening.additional_data

    def apply(self, action: Action) -> None:
        """Carry out one decision of the session's that concerns a tool."""
        match action:
            case RunTool() | AwaitBrowserTool() if self.is_ending:
                pass  # the agent was told to end: it waits for no answer
            case RunTool(call) if self.group is not None:
                self._observer.tool(call.name, self._now(), "running")
                self._calls.start(self.group, call)
            case AwaitBrowserTool(call):
                self._observer.tool(call.name, self._now(), "asked")
                self._calls.await_browser(call, self._browser_timeout)
            case DecideApproval(call_id, approve):
                self.approvals.decide_by_page(call_id, approve=approve)
            case ToolSettled(call, outcome):
                self._observer.tool_settled(call.name, outcome, self._calls.settled(call, outcome))
                self._observer.tool(call.name, self._now(), outcome.value)

    def cancel(self) -> None:
        """Cancel all: the conversation is over and no answer is needed."""
        self._calls.cancel()

    def _context(self, call_id: str) -> ToolContext:
        """For whom a tool runs: verified, whatever the agent or the browser say."""
        conversation = self._scope.conversation
        return ToolContext(
            conversation.id,
            conversation.profile.name,
            self._call_type,
            conversation.principal,
            self._verified,
            call_id,
        )

    def _finished(self, result: ToolResult, approval: SettledApproval | None) -> None:
        """Answer the agent: a tool of ours has finished, or the browser's time is up."""
        name = self._session.calls.name_of(result.id)
        if (shown := self._session.calls.shown.get(result.id)) is not None:
            seconds = self._calls.settled(shown.call, result.outcome)
            self._observer.tool_settled(shown.call.name, result.outcome, seconds)
        self._observer.tool(name, self._now(), result.outcome.value, approval)
        self._answer(self._session.tool_finished(result, self._now()))
