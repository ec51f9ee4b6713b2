"""The guardrails of one session: each text is judged by all of them in their order."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from app.history.interface import Direction
from app.protocol import frames
from app.protocol.close_codes import FORBIDDEN, CloseReason
from app.protocol.guarding import BLOCK, BLOCKED_MESSAGE, END, MASK, PASS
from app.protocol.tool import Outcome, ToolResult, failure
from app.relay.lifecycle import EventType, LifecycleEvent
from blackbox_relay import exact_json
from blackbox_relay.guardrail import GuardrailRequest, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from app.protocol.tool import ToolCall
    from app.relay.dependencies import Conversation, RelayDependencies, ToolRunner
    from app.relay.guardrails import Guardrail, Ruling
    from app.relay.observer import ConversationObserver
    from app.tools.executor import CheckedArguments
    from app.tools.interface import ToolContext
    from blackbox_relay.guardrail import On


class Gate(Protocol):
    """Holds back what waits for a verdict, in one direction."""

    async def idle(self) -> None:
        """Wait until nothing waits."""
        ...

    def close(self) -> None:
        """Forget what waits."""
        ...


class SessionGuard:
    """Judges the texts of one session, and leaves every verdict in the history.

    `end` ends the session. `pages` and `upstream` hold back what waits for a verdict. Until the
    agent is dialled the rules are also those of the one that may stand in for it.
    """

    def __init__(
        self,
        rules: Mapping[On, tuple[Guardrail, ...]],
        conversation: Conversation,
        dependencies: RelayDependencies,
        observer: ConversationObserver,
        epoch: float,
    ) -> None:
        self.end: Callable[[CloseReason, str | None], None] = lambda _reason, _message: None
        self.pages: set[Gate] = set()
        self.upstream: Gate | None = None
        self._epoch = epoch
        self._rules = rules
        self._conversation = conversation
        self._lifecycle = dependencies.lifecycle
        self._observer = observer

    def now(self) -> float:
        """Unix seconds that never jump."""
        return self._epoch + monotonic()

    def serve(self, conversation: Conversation, dependencies: RelayDependencies) -> None:
        """Judge by the rules of the agent that was dialled, from here on."""
        self._conversation, self._rules = conversation, dependencies.guardrails

    def judges(self, *directions: On) -> bool:
        """Whether any guardrail judges texts of these directions."""
        return any(on in self._rules for on in directions)

    async def judge(
        self, on: On, text: str, *, tool: str | None = None, partial: bool = False
    ) -> Verdict:
        """Return what is to be done with a text, by all guardrails: the first to block it wins."""
        given = text
        for guardrail in self._rules.get(on, ()):
            conversation = self._conversation
            ruling = await guardrail.ask(
                GuardrailRequest(
                    conversation.id, conversation.profile.name, on, text, tool, partial
                )
            )
            self._record(guardrail, on, ruling, tool=tool, partial=partial)
            verdict = ruling.verdict
            if verdict.action in {BLOCK, END}:
                return verdict
            if verdict.action == MASK and verdict.text is not None:
                text = verdict.text
        return Verdict(PASS) if text == given else Verdict(MASK, text)

    def _record(
        self, guardrail: Guardrail, on: On, ruling: Ruling, *, tool: str | None, partial: bool
    ) -> None:
        """Leave a verdict in history and the live watch, without the text that was judged."""
        verdict = ruling.verdict
        if partial and verdict.action == PASS and ruling.error is None:
            return  # counted; one comes for each step of a growing text
        is_blocked = verdict.action in {BLOCK, END}
        if not (is_blocked and self._lifecycle is not None) and not self._observer.is_followed:
            return
        told: dict[str, object] = {
            "guardrail": guardrail.name,
            "on": on,
            "action": verdict.action,
            "seconds": round(ruling.seconds, 4),
        }
        if ruling.error is not None:
            told["error"] = ruling.error
        if tool is not None:
            told["tool"] = tool
        at = self.now()
        if self._observer.is_followed:
            event = frames.guardrail(at, told)
            self._observer.frame(Direction.FROM_UPSTREAM, at, event)
        if is_blocked and self._lifecycle is not None:
            conversation = self._conversation
            self._lifecycle.emit(
                LifecycleEvent(
                    EventType.GUARDRAIL_BLOCKED,
                    conversation.id,
                    conversation.profile.name,
                    at,
                    told,
                    conversation.profile.tenant,
                )
            )

    def end_session(self, message: str | None) -> None:
        """A guardrail ends the session, with words for the page."""
        self.end(FORBIDDEN, message or BLOCKED_MESSAGE)

    def runner(self, inner: ToolRunner) -> ToolRunner:
        """What runs tools: `inner`, and then the guardrails on its results if there are any."""
        return GuardedRunner(inner, self) if self.judges("tool_result") else inner

    async def settled(self, seconds: float) -> None:
        """Wait up to `seconds` for what the vendor has sent to be judged."""
        if self.upstream is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self.upstream.idle()

    def close(self) -> None:
        """Judge nothing more: the conversation is over."""
        for gate in (*self.pages, *((self.upstream,) if self.upstream is not None else ())):
            gate.close()


class GuardedRunner:
    """Runs tools, and lets guardrails judge their results before the agent has them."""

    def __init__(self, inner: ToolRunner, guard: SessionGuard) -> None:
        self._inner = inner
        self._guard = guard

    def check(self, call: ToolCall) -> CheckedArguments | ToolResult:
        """Return the arguments that the tool will get, or why it cannot run."""
        return self._inner.check(call)

    def not_approved(self, call: ToolCall, message: str, seconds: float) -> ToolResult:
        """Return the result of a call that is not to run, and count it."""
        return self._inner.not_approved(call, message, seconds)

    async def run(self, call: ToolCall, ctx: ToolContext) -> ToolResult:
        """Run a tool; a result that is blocked is an error result."""
        result = await self._inner.run(call, ctx)
        text = exact_json.dumps(result.result).decode()
        verdict = await self._guard.judge("tool_result", text, tool=call.name)
        if verdict.action == MASK and verdict.text is not None:
            masked = exact_json.loads_all(verdict.text.encode())
            return ToolResult(call.id, masked, result.outcome)
        if verdict.action == BLOCK:
            return failure(call, Outcome.BLOCKED, verdict.message)
        if verdict.action == END:
            self._guard.end_session(verdict.message)
            return failure(call, Outcome.BLOCKED)
        return result


def session_guard(
    conversation: Conversation,
    dependencies: RelayDependencies,
    observer: ConversationObserver,
    epoch: float,
) -> SessionGuard | None:
    """What judges the texts of a session; None where no guardrail is for its agent.

    Nor for the one that stands in where it cannot be dialled.
    """
    rules, stand_in = dependencies.guardrails, conversation.profile.fallback
    if stand_in is not None and dependencies.of_agent is not None:
        rules = both(rules, dependencies.of_agent(stand_in.name).guardrails)
    if not rules:
        return None
    return SessionGuard(rules, conversation, dependencies, observer, epoch)


def both(
    first: Mapping[On, tuple[Guardrail, ...]], second: Mapping[On, tuple[Guardrail, ...]]
) -> dict[On, tuple[Guardrail, ...]]:
    """The guardrails of two agents, each of them once."""
    found = dict(first)
    for on, guardrails in second.items():
        found[on] = tuple(dict.fromkeys((*found.get(on, ()), *guardrails)))
    return found
