"""What backends and operators do to one live conversation, carried out by its owner.

Everything is said at one point: to every page, to history and to watchers, in one order with what
the vendor says.
"""

from __future__ import annotations

from collections import OrderedDict
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from app.history.interface import Direction
from app.protocol import control_frames
from app.protocol.actions import FORWARD
from app.protocol.close_codes import ENDED
from app.protocol.control import (
    NO_PAGE,
    NOT_BEGUN,
    OVER,
    Answer,
    As,
    Command,
    Decide,
    Emit,
    Finish,
    Say,
    Speaker,
    TakeOver,
    name_of,
    refused,
    too_much,
)
from app.protocol.kept_events import MAX_KEPT
from app.protocol.phases import Phase
from app.relay.takeover import NOT_TAKEN, TakeoverLease, taken_by

if TYPE_CHECKING:
    from app.relay.control_host import ControlHost

MAX_APPLIED: Final = 4096
"""Commands of one conversation that are remembered, so that none is carried out twice."""

OVERHEAD: Final = 256
"""Bytes that a frame has beside what is said in it, at most."""

OVER_PHASES: Final = frozenset({Phase.CLOSING, Phase.CLOSED})


class SessionControl:
    """Carries out commands, each id once."""

    def __init__(self, host: ControlHost) -> None:
        scope = host.scope
        self._host = host
        self._metrics = scope.dependencies.metrics
        self._limits = scope.limits
        self._applied: OrderedDict[str, Answer] = OrderedDict()
        self._events = 0
        self.takeover = TakeoverLease(host, self)

    @property
    def operator(self) -> str | None:
        """Who has taken the conversation over, if anyone has."""
        taken = self.takeover.taken
        return None if taken is None else taken.operator

    def row(self) -> dict[str, Any]:
        """What every replica may see of it, as members of a `SessionRow`."""
        taken, wanted = self.takeover.taken, self.takeover.wanted
        return {
            "operator": None if taken is None else taken.operator,
            "taken_at": None if taken is None else taken.since,
            "wants_human": wanted is not None,
            "wants_human_reason": None if wanted is None else wanted.reason,
            "wants_human_since": None if wanted is None else wanted.since,
        }

    def apply(self, command: Command) -> Answer:
        """Carry a command out, or answer as before if it was; a refused one may come again."""
        answer = self._applied.get(command.id)
        if answer is not None:
            self._count(command, "repeated")
            return answer
        answer = self._carry_out(command)
        self._count(command, "refused" if answer.is_refusal else "applied")
        if not answer.is_refusal:
            self._applied[command.id] = answer
            if len(self._applied) > MAX_APPLIED:
                self._applied.popitem(last=False)
        return answer

    def publish(self, payload: bytes) -> None:
        """Send every page a `text`, numbered and kept until it is confirmed, and record it."""
        host, now = self._host, self._host.scope.now()
        host.browser.send(payload)
        if host.pages is not None:
            host.pages.from_upstream(now, payload, FORWARD)
        self._published(payload, now)

    def publish_event(self, message_id: str | None, name: str, data: dict[str, object]) -> None:
        """Send every page the event `relay.<name>`, kept until it is there, and record it."""
        host, now = self._host, self._host.scope.now()
        self._events += 1
        payload = control_frames.event(now, message_id, self._events, name, data)
        host.browser.send_event(payload)
        if host.pages is not None:
            for page in host.pages.joined:
                page.browser.send_event(payload)
        self._published(payload, now)

    # Commands

    def _carry_out(self, command: Command) -> Answer:
        host = self._host
        if isinstance(command, Finish):
            return self._finish(command)
        if host.is_ending or host.session.phase in OVER_PHASES:
            return OVER
        if not host.has_begun:
            return NOT_BEGUN
        if isinstance(command, Say):
            return self._say(command)
        if isinstance(command, Emit):
            return self._event(command.id, command.name, dict(command.data))
        if isinstance(command, TakeOver):
            return self.takeover.take(command)
        if isinstance(command, Decide):
            return host.dispatcher.tools.approvals.answer(command)
        return self.takeover.hand_back(command)

    def _say(self, command: Say) -> Answer:
        taken = self.takeover.taken
        if taken is not None and command.operator not in ("", taken.operator):
            return taken_by(taken)
        if command.role == As.USER:
            return self._say_as_user(command)
        if command.role == As.NOTICE:
            return self._event(command.id, "notice", {"content": command.content})
        size = len(command.content.encode()) + OVERHEAD
        refusal = self._cannot_take(size)
        if refusal is not None:
            return refusal
        speaker = self._speaker(command)
        if speaker is None:
            return NOT_TAKEN
        now, taken = self._host.scope.now(), self.takeover.taken
        self.publish(control_frames.said(now, command.id, command.content, speaker))
        if taken is not None:
            taken.heard(speaker, command.content)
            if speaker is Speaker.OPERATOR:
                self.takeover.renew()
        return _accepted(command.id)

    def _speaker(self, command: Say) -> Speaker | None:
        """Who speaks as the agent: while a person does, that person unless it says otherwise."""
        is_taken = self.takeover.taken is not None
        if not command.speaker:
            return Speaker.OPERATOR if is_taken else Speaker.BACKEND
        if command.speaker == Speaker.OPERATOR:
            return Speaker.OPERATOR if is_taken else None
        return Speaker.BACKEND

    def _say_as_user(self, command: Say) -> Answer:
        """Send it upstream; the vendor shows it to every page as it does what a page says (S D)."""
        host, now = self._host, self._host.scope.now()
        if self.takeover.taken is not None:
            return refused(
                409,
                "taken",
                "A person has taken over: nothing is said to the agent meanwhile.",
                operator=self.operator,
            )
        payload = control_frames.user_message(now, command.id, command.content)
        if host.upstream.write_paused:
            return too_much(self._limits.outbox, "RELAY_OUTBOX")
        actions = host.session.from_backend(payload)
        if actions is None:
            return too_much(self._limits.resume_buffer, "RELAY_RESUME_BUFFER")
        host.dispatcher.apply(actions, payload)
        host.observer.frame(Direction.FROM_BROWSER, now, payload)
        host.dispatcher.last_activity = monotonic()
        return _accepted(command.id)

    def _event(self, message_id: str, name: str, data: dict[str, object]) -> Answer:
        size = len(control_frames.event(0.0, message_id, 0, name, data))
        refusal = self._cannot_take(size) or self._cannot_keep(size)
        if refusal is not None:
            return refusal
        self.publish_event(message_id, name, data)
        return _accepted(message_id)

    def _finish(self, command: Finish) -> Answer:
        host = self._host
        if command.message and command.reason is ENDED and host.has_begun and not host.is_ending:
            # An error frame goes before every close but the normal one: it is told by a notice.
            self.publish_event(command.id, "notice", {"content": command.message})
        host.end(command.reason, command.message or None)
        return Answer(204)

    # What waits

    def _cannot_take(self, size: int) -> Answer | None:
        """Refuse what would be more than may wait for the first page, here or away."""
        host = self._host
        if host.browser_state == "none":
            return NO_PAGE
        if host.browser.is_connected:
            if host.browser.buffered_bytes + size > self._limits.outbox:
                return too_much(self._limits.outbox, "RELAY_OUTBOX")
        elif not (host.pages is not None and host.pages.is_joined_page_here):
            limit = self._limits.resume_buffer
            if host.session.outgoing.size + size > limit:
                return too_much(limit, "RELAY_RESUME_BUFFER")
        return None

    def _cannot_keep(self, size: int) -> Answer | None:
        """Refuse an event while a page that is away has as many waiting as may be."""
        leg = self._host.browser
        if not leg.is_connected and leg.kept_bytes + size > MAX_KEPT:
            return too_much(MAX_KEPT, "events for a page that is away")
        return None

    # Helpers

    def _published(self, payload: bytes, now: float) -> None:
        host = self._host
        host.observer.frame(Direction.FROM_UPSTREAM, now, payload)
        host.dispatcher.last_activity = monotonic()
        host.browser.check_slow_reader()
        if host.session.outgoing.is_full:
            host.on_pages_changed()

    def _count(self, command: Command, outcome: str) -> None:
        self._metrics.control_total.labels(name_of(command), outcome).inc()


def _accepted(message_id: str) -> Answer:
    return Answer(202, {"message_id": message_id})
