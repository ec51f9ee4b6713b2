"""A further page of a chat: a socket of its own, with its own numbering, replay and bounds.

It reports to its conversation as a browser's leg reports to its relay. What it says goes to the
conversation; what only concerns this page (a refusal, a slow reader) stays with it.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from dataclasses import dataclass
from time import time
from typing import TYPE_CHECKING

from app.protocol import frames
from app.protocol.actions import Acked, Actions, Announce, AwaitUpstreamClose, End, ToBrowser
from app.protocol.close_codes import ENDED, UNAUTHENTICATED
from app.protocol.page_calls import PageCalls
from app.relay.browser_leg import BrowserLeg
from app.relay.frame_handlers import BrowserFrames
from app.relay.guarded_page import guarded_page
from app.relay.refusals import retry_after
from app.relay.scope import new_session

if TYPE_CHECKING:
    from app.protocol.close_codes import CloseReason
    from app.protocol.phases import Phase
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

    def __init__(self, host: PageHost, events: PageEvents[Page], request: PageRequest) -> None:
        scope = host.scope
        conversation, limits = scope.conversation, scope.limits
        resumable = bool(scope.resume_window)
        self.session = new_session(conversation, scope.dependencies, limits, resumable=resumable)
        self.calls = self.session.calls = PageCalls(host.session.calls)
        self.observer = scope.observer
        self.credential_id = request.credential_id
        self.attempt = 0
        self.write_paused = False
        self.token: str | None = None
        self.proof = ""
        if resumable:
            self.token = f"{conversation.id}.{secrets.token_urlsafe(24)}"
            self.proof = hashlib.sha256(self.token.encode()).hexdigest()
        self._host = host
        self._scope = scope
        self._events = events
        self._session_id = conversation.id
        self._resume_timer: asyncio.TimerHandle | None = None
        self._expiry_timer: asyncio.TimerHandle | None = None
        if request.expires_at is not None:
            left = max(0.0, request.expires_at - time())
            loop = asyncio.get_running_loop()
            self._expiry_timer = loop.call_later(left, self._expired)
        self.received = BrowserFrames(
            self.session, self.observer, self, scope.epoch, upstream=host.upstream
        )
        self.received.is_ending = host.is_ending
        self.received.is_observed = True
        self._gate = guarded_page(scope.guard, self.session, self.received, self)
        self.browser = BrowserLeg(scope, self.session, self._gate or self.received, self)
        if self._gate is not None:
            self._gate.attach(self.browser, host.upstream)

    # What its frames lead to

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
                    self._host.dispatcher.apply((action,), payload)

    def spoke(self, actions: Actions) -> None:
        """A frame of this page's went to the vendor: it is the most recently active one."""
        self._events.spoke(self, actions)

    def crashed(self) -> None:
        """End the conversation: judging a frame raised an exception."""
        self._host.dispatcher.crashed()

    def on_browser_read_complete(self, arrived: float, count: int) -> None:
        """One read, `count` frames since `arrived` (monotonic seconds), has been judged."""
        self._host.dispatcher.on_browser_read_complete(arrived, count)

    # What its leg reports

    def on_browser_writable(self, *, writable: bool) -> None:
        """This page reads slowly, or caught up; it stops the vendor only where every page does."""
        self.write_paused = not writable
        self._events.changed()

    def on_browser_disconnected(self, reason: CloseReason | None) -> None:
        """Its socket is gone; `reason` where that is for good."""
        self.observer.browser("away", self._scope.now())
        self.write_paused = False
        if self._host.is_ending:
            return
        if reason is not None or not self._scope.resume_window:
            self._events.removed(self)
            return
        if self._resume_timer is None:
            loop = asyncio.get_running_loop()
            self._resume_timer = loop.call_later(
                self._scope.resume_window, self._events.removed, self
            )
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
        self.observer.browser("here", self._scope.now())
        self._host.dispatcher.tools.approvals.show(self.browser)
        self._events.arrived(self)

    def follow(self, phase: Phase) -> None:
        """Take on the phase of the conversation, which is one for all of its pages."""
        self.session.phase = phase

    def cut(self, reason: CloseReason, message: str | None = None) -> None:
        """Send this page away for `reason`, for good; the conversation goes on."""
        wait = retry_after(reason)
        told = frames.error(self._scope.now(), reason, self._session_id, message, wait)
        self.browser.start_closing(reason, told)
        self._events.removed(self)

    def release(self) -> None:
        """Detach for good: the page has left, or the conversation is over."""
        self._cancel_resume_timer()
        if self._expiry_timer is not None:
            self._expiry_timer.cancel()
            self._expiry_timer = None
        self.browser.detach()
        if self._gate is not None:
            self._gate.release()

    def _cancel_resume_timer(self) -> None:
        if self._resume_timer is not None:
            self._resume_timer.cancel()
            self._resume_timer = None

    def _expired(self) -> None:
        self._expiry_timer = None
        self.cut(UNAUTHENTICATED, "The credential has expired.")
