"""Takeover of one live chat by a person: a lease that is renewed, and the way back to the agent."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from app.history.interface import Direction
from app.protocol import control_frames
from app.protocol.control import Answer, HandBack, Speaker, TakeOver, refused
from app.protocol.phases import Phase
from app.protocol.principal import CallType
from app.protocol.takeover import HumanWanted, Takeover
from app.relay.lifecycle import EventType, LifecycleEvent

if TYPE_CHECKING:
    from app.protocol.session import Session
    from app.relay.control_host import ControlHost, EventSender

NO_CHAT: Final = refused(409, "no_chat", "Only a chat can be taken over: this is a call.")
NOT_TAKEN: Final = refused(409, "not_taken", "No operator has taken the conversation over.")

HANDED_BACK: Final = "handed_back"
LEASE_EXPIRED: Final = "lease_expired"
SESSION_ENDED: Final = "session_ended"
"""Why a takeover ended."""


class TakeoverLease:
    """Who speaks in a chat, and who wants to. Its lease is in seconds."""

    def __init__(self, host: ControlHost, sender: EventSender) -> None:
        self.taken: Takeover | None = None
        self.wanted: HumanWanted | None = None
        self._host = host
        self._sender = sender
        self._lifecycle = host.scope.dependencies.lifecycle
        self._lease = host.scope.limits.takeover_lease
        self._timer: asyncio.TimerHandle | None = None

    def take(self, command: TakeOver) -> Answer:
        """Let an operator speak, or renew the lease of the one who does; refuse any other."""
        host, taken, now = self._host, self.taken, self._host.scope.now()
        if taken is not None and taken.operator != command.operator:
            return taken_by(taken)
        if host.call_type is not CallType.CHAT:
            return NO_CHAT
        is_new = taken is None
        if taken is None:
            self.taken = taken = Takeover(command.operator, now)
            self.wanted = None
            self._set_takeover(taken)
            self._sender.publish_event(command.id, "takeover", {"operator": taken.operator})
            self._told("started", now)
            self._emit(EventType.TAKEOVER_STARTED, now)
        self.renew()
        expires_at = round(now + self._lease, 3)
        described = self._described(taken)
        return Answer(200, {**described, "expires_at": expires_at, "renewed": not is_new})

    def renew(self) -> None:
        """Count the lease from now: the operator has shown to be there."""
        self._cancel_timer()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._lease, self._expired)

    def hand_back(self, command: HandBack) -> Answer:
        """Let the agent speak again, and tell it what was said."""
        taken = self.taken
        if taken is None:
            return NOT_TAKEN
        if command.operator and command.operator != taken.operator:
            return taken_by(taken)
        self._hand_back(command.id, command.summary, HANDED_BACK)
        return Answer(200, self._described(taken))

    def want(self, reason: str) -> None:
        """The agent asks for a person."""
        now = self._host.scope.now()
        redaction = self._host.scope.dependencies.redaction
        if redaction is not None:
            reason = redaction.mask(reason)
        self.wanted = HumanWanted(reason, now)
        self._host.observer.subscribers.publish(
            kind="wants_human", at=now, content={"reason": reason}
        )

    def ended(self) -> None:
        """The conversation has ended."""
        self._cancel_timer()
        if self.taken is not None:
            self._told("ended", self._host.scope.now(), cause=SESSION_ENDED)
            self._emit(EventType.TAKEOVER_ENDED, self._host.scope.now(), cause=SESSION_ENDED)
            self.taken = None

    # Helpers

    def _expired(self) -> None:
        """The operator has not renewed the lease: the console is gone."""
        self._timer = None
        self._host.observer.log.warning("takeover_expired", seconds=self._lease)
        self._hand_back(None, "", LEASE_EXPIRED)

    def _hand_back(self, message_id: str | None, summary: str, cause: str) -> None:
        host, taken = self._host, self.taken
        if taken is None:
            return
        now = host.scope.now()
        self._cancel_timer()
        self._set_takeover(None)
        self._sender.publish_event(message_id, "handback", {"operator": taken.operator})
        self._tell_agent(message_id, summary or taken.summary(), now)
        self._told("ended", now, cause=cause)
        self._emit(EventType.TAKEOVER_ENDED, now, cause=cause)
        self.taken = None

    def _tell_agent(self, message_id: str | None, summary: str, now: float) -> None:
        """Tell the agent in one message; pages are not shown it, history has it as held."""
        host = self._host
        if not summary or host.session.phase not in {Phase.INITIALIZING, Phase.OPEN}:
            return
        payload = control_frames.user_message(now, message_id, summary)
        host.session.hide_echo(summary)
        host.upstream.send(payload)
        held = control_frames.said(now, message_id, summary, Speaker.OPERATOR)
        host.observer.frame(Direction.HELD, now, held)

    def _set_takeover(self, takeover: Takeover | None) -> None:
        for session in self._sessions():
            session.take_over(takeover)

    def _sessions(self) -> tuple[Session, ...]:
        joined = () if self._host.pages is None else self._host.pages.joined
        return (self._host.session, *(page.session for page in joined))

    def _described(self, taken: Takeover) -> dict[str, Any]:
        return {"operator": taken.operator, "since": round(taken.since, 3)}

    def _told(self, state: str, at: float, **more: str) -> None:
        assert self.taken is not None  # noqa: S101 - callers have looked
        self._host.observer.log.info("takeover", state=state, operator=self.taken.operator, **more)
        self._host.observer.subscribers.publish(
            kind="takeover", at=at, state=state, operator=self.taken.operator, **more
        )

    def _emit(self, kind: EventType, at: float, **more: str) -> None:
        if self._lifecycle is None or self.taken is None:
            return
        conversation = self._host.scope.conversation
        data = {**self._described(self.taken), **more}
        profile = conversation.profile
        event = LifecycleEvent(kind, conversation.id, profile.name, at, data, profile.tenant)
        self._lifecycle.emit(event)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def taken_by(taken: Takeover) -> Answer:
    """Refuse what another than who has taken over asks for."""
    detail = f"{taken.operator} has taken the conversation over."
    return refused(409, "taken", detail, operator=taken.operator, since=round(taken.since, 3))
