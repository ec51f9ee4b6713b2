"""The tools of one conversation: tasks beside the relay, so that a slow one delays nothing."""

from __future__ import annotations

import asyncio
from time import monotonic, time
from typing import TYPE_CHECKING

from app.protocol.approval import SettledApproval
from app.protocol.tool import Outcome, ToolCall, ToolResult, failure

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.history.interface import Recorder
    from app.relay.approvals import Approvals
    from app.relay.dependencies import ToolRunner
    from app.telemetry.traces import Trace
    from app.tools.interface import ToolContext


class ToolCalls:
    """Runs at most `concurrency` tools at once; the rest wait their turn.

    `context` says for whom a call runs, `finished` hears of every result, once for each call,
    and of its approval where the tool needed one.
    """

    def __init__(
        self,
        runner: ToolRunner,
        session_id: str,
        concurrency: int,
        recorder: Recorder | None,
        context: Callable[[str], ToolContext],
        trace: Trace,
        finished: Callable[[ToolResult, SettledApproval | None], None],
        approvals: Approvals,
    ) -> None:
        self._approvals = approvals
        self._runner = runner
        self._session_id = session_id
        self._context = context
        self._trace = trace
        self._free = concurrency
        self._recorder = recorder
        self._finished = finished
        self._queue: list[ToolCall] = []
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._timers: dict[str, tuple[asyncio.TimerHandle, float]] = {}
        self._approved: dict[str, SettledApproval] = {}  # of calls that have not finished

    @property
    def running(self) -> int:
        """How many calls have no answer yet, the browser's included."""
        return len(self._tasks) + len(self._queue) + len(self._timers)

    def start(self, group: asyncio.TaskGroup, call: ToolCall) -> None:
        """Run a call, now or when another has finished; what needs an approval, after that."""
        if self._approvals.needed(call.name):
            self._tasks[call.id] = group.create_task(
                self._approve(group, call), name=f"approval:{call.name}"
            )
        else:
            self._begin(group, call)

    async def _approve(self, group: asyncio.TaskGroup, call: ToolCall) -> None:
        """Ask whether a call may run. While it waits, it takes no other tool's place."""
        begun = monotonic()
        checked = self._runner.check(call)
        if not isinstance(checked, ToolResult):
            decision = await self._approvals.decision(call, checked.args)
            self._approved[call.id] = SettledApproval(decision.state, decision.by or None, time())
            if decision.approve:
                del self._tasks[call.id]
                self._begin(group, call)
                return
            checked = self._runner.not_approved(call, decision.sentence, monotonic() - begun)
        approval = self._record(call, checked, monotonic() - begun)
        del self._tasks[call.id]
        self._finished(checked, approval)

    def _begin(self, group: asyncio.TaskGroup, call: ToolCall) -> None:
        if self._free == 0:
            self._queue.append(call)
            return
        self._free -= 1
        self._tasks[call.id] = group.create_task(self._run(group, call), name=f"tool:{call.name}")

    async def _run(self, group: asyncio.TaskGroup, call: ToolCall) -> None:
        begun = monotonic()
        with self._trace.part("tool", **{"relay.tool": call.name}):
            try:
                result = await self._runner.run(call, self._context(call.id))
            except asyncio.CancelledError:
                self._record_cancelled(call, monotonic() - begun)
                raise
        approval = self._record(call, result, monotonic() - begun)
        del self._tasks[call.id]
        self._free += 1
        if self._queue:
            self._begin(group, self._queue.pop(0))
        self._finished(result, approval)

    def await_browser(self, call: ToolCall, seconds: float) -> None:
        """Give the browser so many seconds to answer."""
        timer = asyncio.get_running_loop().call_later(seconds, self._expire, call)
        self._timers[call.id] = (timer, monotonic())

    def settled(self, call: ToolCall, outcome: Outcome) -> float:
        """Settle a call that the browser answered or that was declined; return its seconds."""
        timer, begun = self._timers.pop(call.id, (None, monotonic()))
        if timer is not None:
            timer.cancel()
        seconds = monotonic() - begun
        # What a browser answered is in its own frame, and not repeated here.
        answered = ToolResult(call.id, None, outcome)
        self._record(call, answered if outcome is Outcome.OK else failure(call, outcome), seconds)
        return seconds

    def _expire(self, call: ToolCall) -> None:
        self._finished(failure(call, Outcome.TIMEOUT), None)

    def _record(self, call: ToolCall, result: ToolResult, seconds: float) -> SettledApproval | None:
        """Record a finished call; return its approval, where the tool needed one."""
        approval = self._approved.pop(call.id, None)
        if self._recorder is not None:
            self._recorder.tool(self._session_id, call, result, time(), seconds, approval)
        return approval

    def _record_cancelled(self, call: ToolCall, seconds: float) -> None:
        """Record an approved call that was cancelled: who approved it stays known."""
        if call.id in self._approved:
            self._record(call, failure(call, Outcome.CANCELLED), seconds)

    def cancel(self) -> None:
        """Cancel all: the conversation is over and no answer is needed."""
        for call in self._queue:
            self._record_cancelled(call, 0.0)
        self._queue.clear()
        for timer, _ in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for task in self._tasks.values():
            task.cancel()
