"""What a relay is given: who talks to which agent, within which bounds, and with whose help."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from app.telemetry.drift import DriftLog
from app.upstream.circuit_breaker import CircuitBreaker

if TYPE_CHECKING:
    from app.history.interface import Recorder
    from app.protocol.approval import ApprovalRequest
    from app.protocol.initialize import ClientOptions, Profile
    from app.protocol.principal import Principal
    from app.protocol.redaction import Redaction
    from app.protocol.tool import ToolCall, ToolResult
    from app.relay.guardrails import Guardrail
    from app.relay.lifecycle import LifecycleEvents
    from app.telemetry.metrics import Metrics
    from app.telemetry.traces import Trace
    from app.tools.executor import CheckedArguments
    from app.tools.interface import ToolContext
    from app.websocket.interface import Socket
    from blackbox_relay.guardrail import On


class UpstreamPlace(Protocol):
    """A claim to one live upstream session, where their number is bounded.

    `granted`: upstream may be dialled. Until then the session waits at `position` (from 1) of
    `of`; `turn` lets its browser wait on at that position on another replica.
    """

    granted: bool
    position: int
    of: int
    turn: str

    async def changed(self) -> None:
        """Wait until the position changes or the place is granted."""
        ...

    def step_aside(self) -> None:
        """Let others pass while the browser is away; what is granted stays."""
        ...

    def come_back(self) -> None:
        """Wait again, at the old position."""
        ...

    def release(self, *, keep_turn: bool = False) -> None:
        """Give the place back, or stop waiting; `keep_turn`: for a browser that comes again."""
        ...


@dataclass(frozen=True, slots=True)
class Conversation:
    """One browser, admitted.

    `initialize_wait` is how many seconds an `initialize` of the browser's own is waited for, and
    `initialize_required` whether the conversation ends (4408) without one. `resume_token` is None
    for browsers that do not speak of resuming. `place` is None where upstream sessions have no
    bound.
    """

    id: str
    profile: Profile
    principal: Principal
    address: str
    client_options: ClientOptions
    started_at: float
    trace: Trace = field(repr=False)
    initialize_wait: float = 0.0
    initialize_required: bool = False
    resume_token: str | None = field(default=None, repr=False)
    place: UpstreamPlace | None = field(default=None, repr=False)

    def release_place(self) -> None:
        """Give the claim to an upstream session back, if there is one. Idempotent."""
        if self.place is not None:
            self.place.release()


@dataclass(frozen=True, slots=True)
class RelayLimits:
    """Bounds of one conversation; each is the setting of that name unless it says otherwise.

    - `initialize_timeout`: seconds from `initialize` to the vendor's first frame; then 4504.
    - `idle_timeout`: seconds without a frame of either side; then 4408.
    - `max_session`: seconds of a whole conversation, less where its credential expires before.
    - `resume_window`: seconds that a browser has to come back; 0: none can.
    - `resume_buffer`: bytes of unacknowledged frames held for a resume. While it is full and the
      browser is away, the vendor is not read.
    - `outbox`: bytes that may wait to be written to a browser; then its socket ends with 4508.
    - `slow_reader_timeout`: seconds that a browser may read too slowly, however little waits.
    - `tool_timeout`: seconds of one call of a browser's tool, and of the wait for an approval.
    - `tool_concurrency`: backend tools at once; more wait in their order.
    - `frames_per_second`, `frame_burst`: what a browser may send (`TokenBucket`); then 4429.
    - `call_timeout`: seconds from an SDP offer to the page's answer; then 4408.
    - `end_grace`: seconds that the vendor has to close after the announced end. Not a setting.
    - `chat_keep`: seconds that a chat is kept with no page there; 0: as long as it can be resumed.
    - `chat_pages`: how many pages a chat may have at once.
    - `chat_history`: bytes of text kept for pages that join. Not a setting.
    - `takeover_lease`: seconds that an operator who has taken over may be silent.
    """

    initialize_timeout: float
    idle_timeout: float
    max_session: float
    resume_window: float
    resume_buffer: int
    outbox: int
    slow_reader_timeout: float
    tool_timeout: float
    tool_concurrency: int
    frames_per_second: float
    frame_burst: int
    call_timeout: float = 60.0
    end_grace: float = 3.0
    chat_keep: float = 0.0
    chat_pages: int = 5
    chat_history: int = 64 * 1024
    takeover_lease: float = 30.0


class ToolRunner(Protocol):
    """Runs one tool for one conversation; whatever happens, the answer is a result."""

    async def run(self, call: ToolCall, ctx: ToolContext) -> ToolResult:
        """Run a registered tool within its time-out. Raises nothing but cancellation."""
        ...

    def check(self, call: ToolCall) -> CheckedArguments | ToolResult:
        """Return the arguments that the tool will get, or why it cannot run."""
        ...

    def not_approved(self, call: ToolCall, message: str, seconds: float) -> ToolResult:
        """Return the result of a call that is not to run, and count it."""
        ...


class ApprovalBoard(Protocol):
    """Where calls are listed that wait for an operator's approval; returns at once."""

    def asked(self, request: ApprovalRequest) -> None:
        """List a call."""
        ...

    def settled(self, request: ApprovalRequest) -> None:
        """List it no more."""
        ...


Dial = Callable[["Profile"], Awaitable["Socket"]]


@dataclass(frozen=True, slots=True)
class RelayDependencies:
    """Whose help a relay has; shared by all relays of a process.

    `dial` opens the vendor's socket and raises `UpstreamError`. `tools` names what `runner` can
    run. `secrets` are the forms of the API key that no browser may be shown. `circuit` hears how
    the vendor took the beginning of each conversation. `lifecycle` takes the events of
    webhooks; None where none are configured. `redaction` masks what subscribers are shown.
    `guardrails` are those of this agent, by what they judge; empty where there are none.
    `approvals` lists what waits for an operator.
    `of_agent` finds those of the agent that stands in.
    """

    dial: Dial
    executor: ToolRunner
    tools: Callable[[], frozenset[str]]
    recorder: Recorder | None
    metrics: Metrics
    secrets: frozenset[bytes] = field(repr=False)
    circuit: CircuitBreaker = field(default_factory=CircuitBreaker)
    drift: DriftLog = field(default_factory=DriftLog)
    lifecycle: LifecycleEvents | None = None
    redaction: Redaction | None = None
    guardrails: Mapping[On, tuple[Guardrail, ...]] = field(default_factory=dict)
    of_agent: Callable[[str], RelayDependencies] | None = None
    approvals: ApprovalBoard | None = None
