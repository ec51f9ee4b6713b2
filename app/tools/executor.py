"""Exactly one result for every call, however the tool behaves."""

from __future__ import annotations

import asyncio
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog
from pydantic_core import PydanticSerializationError, to_jsonable_python

from app.protocol.tool import Outcome, ToolCall, ToolResult, failure
from app.tools.interface import NAME, BadArgs, ToolError, ToolFailed
from blackbox_relay import exact_json
from blackbox_relay.causes import Cause

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from app.tools.interface import Tool, ToolContext

log = structlog.get_logger(__name__)

# The metric's label for names that are not registered: theirs come from the agent.
UNREGISTERED: Final = "unregistered"
DEFAULT_MAX_RESULT: Final = 256 * 1024
# A tool that was cancelled has so many seconds to tidy up before it is waited for no more.
GRACE: Final = 0.5


def _no_metrics(name: str, outcome: Outcome, seconds: float) -> None:
    """Hear of a finished call and do nothing."""


@dataclass(frozen=True, slots=True)
class CheckedArguments:
    """Arguments that fit their tool, as JSON."""

    args: Any


class ToolExecutor:
    """Runs calls of registered tools.

    `timeout` (seconds) holds for tools without one of their own, `max_result` (bytes) for the
    result as JSON. `on_finished` hears the name, outcome and seconds of every call; the name is
    "unregistered" for names that are not ours.
    """

    def __init__(
        self,
        tools: Mapping[str, Tool],
        *,
        timeout: float = 20.0,
        max_result: int = DEFAULT_MAX_RESULT,
        on_finished: Callable[[str, Outcome, float], None] = _no_metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tools = tools
        self._timeout = timeout
        self._max_result = max_result
        self._on_finished = on_finished
        self._clock = clock
        self._abandoned: set[asyncio.Task[ToolResult]] = set()

    async def run(self, call: ToolCall, ctx: ToolContext) -> ToolResult:
        """Run one call to its one result. Raises nothing but CancelledError."""
        started = self._clock()
        tool = self._tools.get(call.name)
        if tool is None:
            log.warning("tool_unknown", tool=call.name if NAME.fullmatch(call.name) else None)
            return self._report(UNREGISTERED, failure(call, Outcome.UNKNOWN), started)
        try:
            result = await self._result(tool, call, ctx)
        except asyncio.CancelledError:
            self._on_finished(tool.name, Outcome.CANCELLED, self._clock() - started)
            raise
        return self._report(tool.name, result, started)

    def check(self, call: ToolCall) -> CheckedArguments | ToolResult:
        """Return the arguments that a call's tool will get, as JSON; or why it cannot run."""
        started = self._clock()
        tool = self._tools.get(call.name)
        if tool is None:
            return self._report(UNREGISTERED, failure(call, Outcome.UNKNOWN), started)
        try:
            return CheckedArguments(self._jsonable(tool.checked(call.args)))
        except BadArgs as error:
            message = f"The arguments do not fit this tool: {error.fault}"
            result = self._failed(tool, failure(call, Outcome.BAD_ARGS, message), Cause.BAD_ARGS)
        except ToolFailed as error:
            result = self._failed(tool, failure(call, Outcome.CRASHED), error.cause)
        except Exception as error:  # noqa: BLE001 - an author's validator is foreign code
            result = self._raised(tool, call, error)
        return self._report(tool.name, result, started)

    def not_approved(self, call: ToolCall, message: str, seconds: float) -> ToolResult:
        """Return the result of a call that is not to run; `seconds` passed until that was known."""
        tool = self._tools.get(call.name)
        name = UNREGISTERED if tool is None else tool.name
        self._on_finished(name, Outcome.NOT_APPROVED, seconds)
        return failure(call, Outcome.NOT_APPROVED, message)

    def _report(self, name: str, result: ToolResult, started: float) -> ToolResult:
        self._on_finished(name, result.outcome, self._clock() - started)
        return result

    async def _result(self, tool: Tool, call: ToolCall, ctx: ToolContext) -> ToolResult:
        """Run foreign code in a task of its own: it may ignore that it is cancelled."""
        seconds = self._timeout if tool.timeout is None else tool.timeout
        task = asyncio.create_task(self._attempt(tool, call, ctx), name=f"tool:{call.name}:call")
        try:
            await asyncio.wait((task,), timeout=seconds)
            if task.done():
                return task.result()
        finally:
            if not task.done():
                await self._stop(tool, task)
        return self._failed(tool, failure(call, Outcome.TIMEOUT), Cause.TIMEOUT)

    async def _stop(self, tool: Tool, task: asyncio.Task[ToolResult]) -> None:
        """Cancel a tool; one that does not end by that is abandoned, and not waited for."""
        task.cancel()
        await asyncio.wait((task,), timeout=GRACE)
        if not task.done():
            log.warning("tool_ignores_cancellation", tool=tool.name)
            self._abandoned.add(task)
            task.add_done_callback(self._abandoned.discard)

    async def _attempt(self, tool: Tool, call: ToolCall, ctx: ToolContext) -> ToolResult:
        """Raises nothing but CancelledError."""
        try:
            answer = await tool.call(call.args, ctx)
            return ToolResult(call.id, self._jsonable(answer), Outcome.OK)
        except BadArgs as error:
            message = f"The arguments do not fit this tool: {error.fault}"
            return self._failed(tool, failure(call, Outcome.BAD_ARGS, message), Cause.BAD_ARGS)
        except ToolError as error:
            result = failure(call, Outcome.TOOL_ERROR, error.message)
            return self._failed(tool, result, Cause.TOOL_ERROR)
        except ToolFailed as error:
            outcome = Outcome.TIMEOUT if error.cause is Cause.TIMEOUT else Outcome.CRASHED
            return self._failed(tool, failure(call, outcome), error.cause, **error.facts)
        except asyncio.CancelledError as error:
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
            return self._raised(tool, call, error)
        except (Exception, SystemExit, GeneratorExit, BaseExceptionGroup) as error:  # noqa: BLE001
            return self._raised(tool, call, error)

    def _raised(self, tool: Tool, call: ToolCall, error: BaseException) -> ToolResult:
        """Foreign code raised: the log says what and in which line, never the text."""
        return self._failed(
            tool,
            failure(call, Outcome.CRASHED),
            Cause.TOOL_RAISED,
            exception=type(error).__name__,
            at=_place(error),
        )

    def _failed(
        self, tool: Tool, result: ToolResult, cause: Cause, **facts: str | int
    ) -> ToolResult:
        outcome = result.outcome.value
        log.warning("tool_failed", tool=tool.name, outcome=outcome, cause=cause.value, **facts)
        if tool.fallback_result is None:
            return result
        return ToolResult(result.id, tool.fallback_result.result, Outcome.FALLBACK)

    def _jsonable(self, answer: Any) -> Any:
        try:
            plain = to_jsonable_python(answer, inf_nan_mode="null")
            size = len(exact_json.dumps(plain))
        except exact_json.NumberTooLarge:
            raise ToolFailed(Cause.NUMBER_TOO_LARGE) from None
        except (PydanticSerializationError, TypeError, ValueError, RecursionError):
            raise ToolFailed(Cause.RESULT_NOT_JSON) from None
        if size > self._max_result:
            raise ToolFailed(Cause.RESULT_TOO_LARGE)
        return plain


def _place(error: BaseException) -> str:
    """File and line where an error was raised, without the file's folder."""
    last: traceback.FrameSummary | None = None
    for last in traceback.extract_tb(error.__traceback__, limit=-1):  # noqa: B007 - the last one
        pass
    return "unknown" if last is None else f"{Path(last.filename).name}:{last.lineno}"
