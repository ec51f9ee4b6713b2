"""A further page of a chat: a socket of its own, with its own numbering, replay and bounds.

It reports to its conversation as a browser's leg reports to its relay. What it says goes to the
conversation; what only concerns this page (a refusal, a slow reader) stays with it.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from dataclasses import dataclass
from time import monotonic, time
from typing import TYPE_CHECKING

from app.protocol import frames
from app.protocol.actions import Acked, Actions, Announce, AwaitUpstreamClose, End, ToBrowser
from app.protocol.close_codes import ENDED, UNAUTHENTICATED
from app.relay.browser_leg import BrowserLeg, retry_after

if TYPE_CHECKING:
    from app.protocol.close_codes import CloseReason
    from app.protocol.page_calls import PageCalls
    from app.protocol.phases import Phase
    from app.protocol.session import Session
    from app.relay.dependencies import RelayLimits
    from app.relay.interface import FrameSender
    from app.relay.page_host import PageEvents, PageHost
    from app.websocket.interface import Socket


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Who asks to join a conversation; verified. `expires_at` in Unix seconds.

    `tenant` is the one that issued the credential: only within it do equal subjects mean one user.
    """

    subject: str
    agent: str | None = None
    credential_id: str | None = None
    expires_at: float | None = None
    tenant: str | None = None


class Page:
    """One joined page. `token` resumes it, and is None where the session offers no resume."""

    first_frame: asyncio.Future[CloseReason] | None = None
    is_observed = True

    def __init__(
        self,
        host: PageHost,
        events: PageEvents[Page],
        session: Session,
        calls: PageCalls,
        request: PageRequest,
        limits: RelayLimits,
    ) -> None:
        self.session = session
        self.calls = calls
        self.observer = host.observer
        self.epoch = host.epoch
        self.resume_window = host.resume_window
        self.credential_id = request.credential_id
        self.attempt = 0
        self.write_paused = False
        self.token: str | None = None
        self.proof = ""
        if self.resume_window:
            self.token = f"{host.conversation.id}.{secrets.token_urlsafe(24)}"
            self.proof = hashlib.sha256(self.token.encode()).hexdigest()
        self._host = host
        self._events = events
        self._session_id = host.conversation.id
        self._resume_timer: asyncio.TimerHandle | None = None
        self._expiry_timer: asyncio.TimerHandle | None = None
        if request.expires_at is not None:
            left = max(0.0, request.expires_at - time())
            loop = asyncio.get_running_loop()
            self._expiry_timer = loop.call_later(left, self._expired)
        self.browser = BrowserLeg(self, self._session_id, limits.outbox, limits.patience)

    # What its leg looks at and reports

    @property
    def is_ending(self) -> bool:
        """Whether the conversation is about to end."""
        return self._host.is_ending

    @property
    def upstream(self) -> FrameSender:
        """The vendor's leg."""
        return self._host.upstream

    def now(self) -> float:
        """Unix seconds that never jump."""
        return self.epoch + monotonic()

    def apply(self, actions: Actions, payload: bytes) -> None:
        """Carry out what this page's session decided about one of its frames."""
        for action in actions:
            match action:
                case ToBrowser(told):
                    self.browser.send(told)
                case Announce(told):
                    self.browser.send_unnumbered(told)
                case Acked():
                    self._events.changed()
                case AwaitUpstreamClose():
                    self._host.terminated_by_page()
                case End(reason, message) if reason is not ENDED:
                    self.cut(reason, message)
                case _:
                    self._host.apply((action,), payload)

    def spoke(self, actions: Actions) -> None:
        """A frame of this page's went to the vendor: it is the most recently active one."""
        self._events.spoke(self, actions)

    def crashed(self) -> None:
        """End the conversation: judging a frame raised an exception."""
        self._host.crashed()

    def on_first_frame(self, wished: asyncio.Future[CloseReason]) -> None:
        """A joined page's `initialize` is not waited for."""

    def binary_from_browser(self) -> None:
        """A binary message came: refused, as the protocol has none."""
        if not self.is_ending:
            self.apply(self.session.binary_from_browser(self.now()), b"")

    def on_browser_read_complete(self, arrived: float, count: int) -> None:
        """One read, `count` frames since `arrived` (monotonic seconds), has been judged."""
        self._host.on_browser_read_complete(arrived, count)

    def on_browser_write_paused(self) -> None:
        """This page reads slowly; it stops the vendor only where every page does."""
        self.write_paused = True
        self._events.changed()

    def on_browser_write_resumed(self) -> None:
        """This page caught up."""
        self.write_paused = False
        self._events.changed()

    def on_browser_disconnected(self, reason: CloseReason | None) -> None:
        """Its socket is gone; `reason` where that is for good."""
        self.observer.browser("away", self.now())
        self.write_paused = False
        if self.is_ending:
            return
        if reason is not None or not self.resume_window:
            self._events.removed(self)
            return
        if self._resume_timer is None:
            loop = asyncio.get_running_loop()
            self._resume_timer = loop.call_later(self.resume_window, self._events.removed, self)
        self._events.changed()

    # For the conversation

    def attach(self, socket: Socket, first: tuple[bytes, ...]) -> None:
        """Take its first socket, and send the gateway's own frames `first`."""
        for payload in first:
            socket.send_text(payload)
        self.browser.attach(socket)

    def resume(self, socket: Socket, received: int) -> None:
        """Take a later socket: send what it missed, or tell it that this is lost."""
        if not self.browser.resume(socket, received):
            self.observer.resumed("cannot_resume")
            if not self.browser.is_connected:
                self._events.removed(self)
            return
        self._cancel_resume_timer()
        self.observer.resumed("resumed")
        self.observer.browser("here", self.now())
        self._events.arrived(self)

    def follow(self, phase: Phase) -> None:
        """Take on the phase of the conversation, which is one for all of its pages."""
        self.session.phase = phase

    def cut(self, reason: CloseReason, message: str | None = None) -> None:
        """Send this page away for `reason`, for good; the conversation goes on."""
        wait = retry_after(reason)
        told = frames.error(self.now(), reason, self._session_id, message, wait)
        self.browser.start_closing(reason, told)
        self._events.removed(self)

    def release(self) -> None:
        """Detach for good: the page has left, or the conversation is over."""
        self._cancel_resume_timer()
        if self._expiry_timer is not None:
            self._expiry_timer.cancel()
            self._expiry_timer = None
        self.browser.detach()

    def _cancel_resume_timer(self) -> None:
        if self._resume_timer is not None:
            self._resume_timer.cancel()
            self._resume_timer = None

    def _expired(self) -> None:
        self._expiry_timer = None
        self.cut(UNAUTHENTICATED, "The credential has expired.")
