"""A relay between two sockets in memory, with real rules, real tools and real metrics."""

from __future__ import annotations

import asyncio
import json
from time import time
from typing import TYPE_CHECKING, Any

from app.protocol.initialize import ClientOptions, Profile
from app.protocol.principal import Principal
from app.relay.dependencies import Conversation, RelayDependencies, RelayLimits
from app.relay.guardrail_spec import GuardrailSpec
from app.relay.guardrails import Guardrail, Guardrails
from app.relay.relay import Relay
from app.telemetry.metrics import Metrics
from app.telemetry.traces import open_traces
from app.tools.executor import ToolExecutor
from app.tools.interface import BadArgs
from tests.support.memory import MemorySocket
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType
    from typing import Self

    from app.history.interface import Recorder
    from app.protocol.errors import UpstreamError
    from app.protocol.principal import CallType
    from app.relay.guardrails import Hook
    from app.relay.lifecycle import LifecycleEvents
    from app.tools.interface import Fallback, ToolContext

LIMITS: dict[str, Any] = {
    "initialize_timeout": 20.0,
    "idle_timeout": 60.0,
    "max_session": 60.0,
    "resume_window": 30.0,
    "resume_buffer": 4096,
    "outbox": 200_000,
    "slow_reader_timeout": 30.0,
    "tool_timeout": 20.0,
    "tool_concurrency": 2,
    "frames_per_second": 1000.0,
    "frame_burst": 1000,
    "end_grace": 0.05,
}


class Gate:
    """A tool that answers when the test lets it."""

    name = "look_up"
    description = "Looks up."
    parameters: dict[str, Any] = {}  # noqa: RUF012 - as the port says
    timeout: float | None = None
    fallback_result: Fallback | None = None
    origin = "test"

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ToolContext]] = []
        self.cancelled = 0
        self.open = asyncio.Event()

    def checked(self, args: Any) -> Any:
        """Return the arguments; `refused` is no argument of this tool's."""
        if isinstance(args, dict) and "refused" in args:
            raise BadArgs("refused: unknown")
        return args

    async def call(self, args: Any, ctx: ToolContext) -> Any:
        """Wait for the gate, and say what was asked."""
        self.asked.append((args, ctx))
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return {"asked": args}


class Stage:
    """One conversation. `browser` is its first socket, `vendor` upstream's.

    `gate` is the tool `look_up`, one that waits unless another is given.
    """

    def __init__(
        self,
        *,
        native: bool = True,
        browser: MemorySocket | None = None,
        vendor: MemorySocket | None = None,
        refused: UpstreamError | None = None,
        wait: float = 0.0,
        demanded: bool = False,
        expires: float | None = None,
        call_type: CallType | None = None,
        profile: dict[str, Any] | None = None,
        recorder: Recorder | None = None,
        guardrails: Iterable[tuple[dict[str, Any], Hook]] = (),
        lifecycle: LifecycleEvents | None = None,
        gate: Any = None,
        **limits: Any,
    ) -> None:
        self.browser = browser or MemorySocket()
        self.vendor = vendor or MemorySocket()
        self.ready = asyncio.Event()
        self.dialled = 0
        self.gate = Gate() if gate is None else gate
        self.metrics = Metrics(10)
        self._refused = refused
        who = Principal("subject-1", "ticket", expires_at=expires, call_type=call_type)
        conversation = Conversation(
            "s-1",
            Profile("support", browser_tools=frozenset({"show"}), **(profile or {})),
            who,
            "127.0.0.1",
            ClientOptions(),
            time(),
            open_traces({}, "test").begin(),
            initialize_wait=wait,
            initialize_required=demanded,
            resume_token="s-1.token" if native else None,
        )
        dependencies = RelayDependencies(
            self._dial,
            ToolExecutor({"look_up": self.gate}),
            lambda: frozenset({"look_up"}),
            recorder,
            self.metrics,
            frozenset({b"canary-key"}),
            lifecycle=lifecycle,
            guardrails=Guardrails(
                Guardrail(GuardrailSpec(python="x:y", **spec), hook, self.metrics)
                for spec, hook in guardrails
            ).of("support"),
        )
        self.relay = Relay(conversation, dependencies, RelayLimits(**{**LIMITS, **limits}))
        self._task: asyncio.Task[None] | None = None

    async def _dial(self, profile: Profile) -> MemorySocket:
        assert profile.name == "support"
        self.dialled += 1
        await self.ready.wait()
        if self._refused is not None:
            raise self._refused
        return self.vendor

    async def __aenter__(self) -> Self:
        self.relay.browser.attach(self.browser)
        self._task = asyncio.create_task(self.relay.run())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._task is not None
        if not self._task.done():
            self._task.cancel()
        await asyncio.wait((self._task,))
        if kind is None and not self._task.cancelled():
            self._task.result()

    async def live(self) -> Stage:
        """Let upstream answer its dial and say its first word."""
        self.ready.set()
        await until(lambda: self.vendor.sent)
        self.vendor.say({"type": "event", "name": "connection"})
        return self

    async def over(self, within: float = 20.0) -> None:
        """Wait for the end of the relay."""
        assert self._task is not None
        async with asyncio.timeout(within):
            await asyncio.wait((self._task,))
        self._task.result()

    @property
    def done(self) -> bool:
        """Whether the relay has ended."""
        return self._task is not None and self._task.done()

    def back(self, received: int, socket: MemorySocket | None = None) -> MemorySocket:
        """Let the browser come back on another socket."""
        later = socket or MemorySocket()
        self.relay.resume(later, received)
        return later

    def count(self, family: str, **labels: str) -> float:
        """The value of one metric."""
        return self.metrics.registry.get_sample_value(family, labels) or 0.0


def text(said: str) -> bytes:
    """A text of the agent's."""
    content = {"source": "assistant", "text": said}
    return json.dumps({"type": "text", "timestamp": "t", "content": content}).encode()
