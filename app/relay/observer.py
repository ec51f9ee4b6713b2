"""What one conversation leaves in metrics, logs, history and for its subscribers."""

from __future__ import annotations

from dataclasses import replace
from time import time
from typing import TYPE_CHECKING, Any

import structlog

from app.history.interface import ConversationStart, Direction
from app.protocol.takeover import REQUEST_HUMAN
from app.protocol.vendor_failures import advice_on_loss
from app.relay.session_events import SessionEvents
from app.relay.subscribers import EventSubscribers

if TYPE_CHECKING:
    from app.protocol.approval import ApprovalRequest, SettledApproval
    from app.protocol.close_codes import CloseReason
    from app.protocol.initialize import ResolvedInitialize
    from app.protocol.notices import Notices
    from app.protocol.phases import Phase
    from app.protocol.principal import CallType
    from app.protocol.sdp import Description, Diagnosis
    from app.protocol.tool import Outcome
    from app.protocol.vendor_failures import VendorFailure
    from app.relay.dependencies import Conversation, RelayDependencies
    from app.websocket.interface import CloseEvent

log = structlog.get_logger(__name__)

UNKNOWN = frozenset(("unknown_type", "unknown_field", "unknown_event"))
# Of one conversation: a shape costs far more than a frame's way through.
UNKNOWN_FRAMES_LOOKED_AT = 64
RESUMED = "resumed"
UPSTREAM_ANOMALIES = frozenset(
    (
        "malformed_upstream",
        "spoofed_upstream",
        "secret_withheld",
        "repeated_tool_id",
    )
)


class ConversationObserver:
    """Records one conversation in metrics, log, history and traces. Decides nothing."""

    def __init__(self, conversation: Conversation, dependencies: RelayDependencies) -> None:
        self.subscribers = EventSubscribers(set(), dependencies.redaction)
        self._conversation = conversation
        self._metrics = dependencies.metrics
        self._recorder = dependencies.recorder
        self._drift = dependencies.drift
        self._events = SessionEvents(conversation, dependencies.lifecycle)
        self._unknown_frames = 0
        self.is_started = False
        self._unrecorded: ConversationStart | None = None  # until it is known who serves

    @property
    def is_followed(self) -> bool:
        """Whether history or a watcher takes note of frames: if not, none need be made for them."""
        return self._recorder is not None or bool(self.subscribers.callbacks)

    @property
    def log(self) -> structlog.stdlib.BoundLogger:
        """A logger that puts the session's id on every line."""
        bound: structlog.stdlib.BoundLogger = log.bind(session=self._conversation.id)
        return bound

    def started(self, opening: ResolvedInitialize) -> None:
        """The conversation was settled and is about to be dialled."""
        self.is_started = True
        conversation = self._conversation
        call_type, subject = opening.call_type.value, conversation.principal.subject
        profile = conversation.profile
        agent, requested = profile.name, profile.requested_agent
        asked = {} if requested is None else {"requested_agent": requested}
        owner = {} if profile.tenant is None else {"tenant": profile.tenant}
        self.log.info(
            "session_started",
            agent=agent,
            call_type=call_type,
            subject=subject,
            **asked,
            **owner,
        )
        self._count_routed()
        self._events.started(conversation.started_at, call_type)
        conversation.trace.describe(
            **{
                "relay.session_id": conversation.id,
                "relay.agent": agent,
                "relay.call_type": call_type,
            }
        )
        if self._recorder is not None:
            self._unrecorded = ConversationStart(
                conversation.id,
                agent,
                call_type,
                subject,
                opening.endpoint,
                opening.additional_data,
                conversation.started_at,
                requested,
                profile.tenant,
            )
            if profile.fallback is None:
                self.dialled()

    def dialled(self) -> None:
        """It is known which agent serves, or that none does: history takes note of it, once."""
        if self._recorder is not None and self._unrecorded is not None:
            self._recorder.started(self._unrecorded)
        self._unrecorded = None

    def fell_back(self, conversation: Conversation) -> None:
        """Another agent serves than the one that could not be dialled."""
        before, profile = self._conversation.profile.name, conversation.profile
        self._conversation = self._events.conversation = conversation
        self.log.warning(
            "fallback_served",
            agent=profile.name,
            requested_agent=profile.requested_agent,
            failed=before,
            advice="see dial_failed, or the open circuit, of the agent that failed",
        )
        conversation.trace.describe(**{"relay.agent": profile.name})
        self._count_routed()
        if self._unrecorded is not None:
            self._unrecorded = replace(
                self._unrecorded, agent=profile.name, requested_agent=profile.requested_agent
            )

    def _count_routed(self) -> None:
        """Count a conversation that another agent serves than the one asked for."""
        profile = self._conversation.profile
        if profile.requested_agent is not None and profile.served_because is not None:
            self._metrics.routed_sessions_total.labels(
                profile.requested_agent, profile.name, profile.served_because
            ).inc()

    def told(self, notices: Notices) -> None:
        """The conversation begins otherwise than its browser asked: once, with what to do."""
        if notices.keys:
            self.log.warning(
                "client_data_ignored",
                keys=", ".join(notices.keys),
                advice='list them in the agent\'s client_data_keys, or set it to "*"',
            )
        if notices.asked is not None:
            self.log.warning(
                "call_type_overridden",
                asked=notices.asked,
                used=notices.used,
                advice="the ticket or JWT names the call type: mint it without one, or with this",
            )

    def frame(self, direction: Direction, at: float, payload: bytes) -> None:
        """A frame passed."""
        if self._recorder is not None:
            self._recorder.frame(self._conversation.id, direction, at, payload)
        if self.subscribers.callbacks:
            self.subscribers.frame(direction, at, payload)

    def count(self, name: str) -> None:
        """Count a refusal or an oddity; its one log line holds no payload."""
        if name in UPSTREAM_ANOMALIES:
            self._metrics.upstream_oddities_total.labels(name).inc()
            self.log.warning(name)
        else:
            self._metrics.refusals_total.labels(name).inc()
            self.log.info("refused", reason=name)

    def unknown(self, name: str, payload: bytes, at: float) -> None:
        """The vendor sent what no document lists: counted, and the first few kept by shape."""
        kind = name.removeprefix("unknown_")
        self._metrics.upstream_unknown_types_total.labels(kind).inc()
        if self._unknown_frames < UNKNOWN_FRAMES_LOOKED_AT:
            self._unknown_frames += 1
            self._drift.note(kind, payload, at)

    def upstream_lost(self, closed: CloseEvent, phase: Phase) -> None:
        """The vendor's socket went without an announced end."""
        self.log.warning(
            "upstream_lost",
            code=closed.code,
            by_peer=closed.by_peer,
            phase=phase.value,
            advice=advice_on_loss(phase, closed.code),
        )

    def vendor_refused(self, failure: VendorFailure, said: str) -> None:
        """The vendor told of a failure: in its own words, and what to do about it."""
        self._metrics.upstream_oddities_total.labels("upstream_refused").inc()
        self.log.warning("upstream_refused", failure=failure.name, said=said, advice=failure.advice)

    def call_problem(self, found: Diagnosis, answer: Description | None) -> None:
        """A web call does not connect, or is likely not to: why, and what to do about it."""
        self.log.warning(
            "call_problem",
            problem=found.problem.value,
            likely=found.likely,
            advice=found.advice,
            lacks=list(found.lacks),
            **({} if answer is None else answer.fields()),
        )

    def browser(self, state: str, at: float) -> None:
        """The browser came or went."""
        if self.subscribers.callbacks:
            self.subscribers.publish(kind="browser", at=at, state=state)

    def tool(
        self, name: str, at: float, state: str, approval: SettledApproval | None = None
    ) -> None:
        """A tool began, or ended with an outcome; `approval` where it needed one."""
        self._events.tool(name, at, state, approval)
        if self.subscribers.callbacks:
            self.subscribers.publish(kind="tool", at=at, tool=name, state=state)

    def approval(self, request: ApprovalRequest, at: float, state: str, **more: Any) -> None:
        """A tool waits for an approval, or that is decided; `more` may hold the arguments."""
        by = more.get("by")
        self.log.info("tool_approval", tool=request.tool, state=state, call=request.id, by=by)
        if self.subscribers.callbacks:
            facts = {"id": request.id, "tool": request.tool, "decider": request.decider}
            self.subscribers.publish(kind="approval", at=at, state=state, **facts, **more)

    def tool_settled(self, name: str, outcome: Outcome, seconds: float) -> None:
        """Count a call that the runner never saw; a name that is not configured is no label."""
        is_known = name == REQUEST_HUMAN or name in self._conversation.profile.browser_tools
        known = name if is_known else "unknown"
        self._metrics.tool_finished(known, outcome, seconds)

    def resumed(self, outcome: str) -> None:
        """A browser tried to resume."""
        self._metrics.resumes_total.labels(outcome).inc()
        self._conversation.trace.note(outcome)
        if outcome == RESUMED:
            self._events.resumed(time())

    def ended(
        self, call_type: CallType, reason: CloseReason, now: float, frames: tuple[int, int]
    ) -> None:
        """The conversation is over on both sides. `frames` came from the browser, went to it."""
        conversation = self._conversation
        seconds = now - conversation.started_at
        agent = conversation.profile.name
        self._metrics.sessions_total.labels(agent, call_type.value, str(reason.code)).inc()
        self._metrics.session_seconds.observe(seconds)
        tenant = conversation.profile.tenant
        if tenant is not None:
            counted = self._metrics.tenants.sessions_total
            counted.labels(tenant, call_type.value, str(reason.code)).inc()
        self.dialled()
        if self._recorder is not None:
            self._recorder.ended(conversation.id, reason, now)
        self._events.ended(now, call_type.value, reason, frames)
        self.subscribers.publish(kind="end", at=now, code=reason.code, reason=reason.name)
        conversation.trace.end(reason.code, reason.name)
        self.log.info(
            "session_ended",
            code=reason.code,
            reason=reason.name,
            seconds=round(seconds, 3),
            frames_in=frames[0],
            frames_out=frames[1],
        )
