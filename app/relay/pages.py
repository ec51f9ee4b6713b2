"""The pages of a chat that outlives its page: who is there, and who hears what.

The relay's own leg is the first page and stays on the short way; further pages are `Page`s, which
are sent a copy of what the vendor says. None stands for the first page in what follows.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

from app.backoff import retry_later
from app.protocol import frames
from app.protocol.actions import FORWARD, Actions, AwaitBrowserTool, Forward, ToBrowser, ToUpstream
from app.protocol.close_codes import ENDED, TOO_MANY, UNAUTHENTICATED
from app.relay.browser_life import BrowserLife
from app.relay.chat_history import ChatHistory
from app.relay.page import Page
from app.relay.page_requests import PageRequests
from app.relay.refusals import refuse

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from app.protocol.close_codes import CloseReason
    from app.protocol.initialize import Profile
    from app.relay.interface import PageLoad
    from app.relay.page import PageRequest
    from app.relay.page_host import PageHost
    from app.websocket.interface import Socket


class Pages:
    """All pages of one chat.

    With no page there the chat is kept for `chat_keep` seconds, or for the resume window if that is
    longer, and then ends.
    """

    def __init__(self, host: PageHost) -> None:
        self._host = host
        self._limits = host.scope.limits
        self.history = ChatHistory(self._limits.chat_history)
        self.joined: list[Page] = []
        self._requests = PageRequests(host)
        self._keep_timer: asyncio.TimerHandle | None = None

    def serve(self, profile: Profile, tools: frozenset[str]) -> None:
        """Let another agent serve, before anything came from upstream."""
        for page in self.joined:
            page.session.serve(profile, tools)

    # Who is there

    @property
    def is_anyone_here(self) -> bool:
        """Whether any page is connected."""
        return self._host.browser.is_connected or self.is_joined_page_here

    @property
    def first_is_gone(self) -> bool:
        """Whether the first page is gone for good: it cannot be resumed any more."""
        return self._host.browser.life is BrowserLife.GONE

    @property
    def is_joined_page_here(self) -> bool:
        """Whether any page but the first is connected."""
        return any(page.browser.is_connected for page in self.joined)

    @property
    def received(self) -> int:
        """How many frames came from joined pages that are still known."""
        return sum(page.session.received for page in self.joined)

    @property
    def buffered_bytes(self) -> int:
        """Bytes that wait to be written to joined pages."""
        return sum(page.browser.buffered_bytes for page in self.joined)

    def by_proof(self, proof: str) -> Page | None:
        """The joined page whose resume token has this SHA-256, in hexadecimal."""
        return next((page for page in self.joined if page.token and page.proof == proof), None)

    def credentials(self) -> Iterator[str]:
        """The ids of the credentials by which pages have joined."""
        for page in self.joined:
            if page.credential_id is not None:
                yield page.credential_id

    def cut_revoked(self, revoked: Collection[str]) -> None:
        """Send away the pages that have joined by a credential that is revoked."""
        for page in tuple(self.joined):
            if page.credential_id in revoked:
                page.cut(UNAUTHENTICATED, "The credential was revoked.")

    def join(self, socket: Socket, request: PageRequest) -> None:
        """Take one more page, or tell it that there are as many as may be."""
        host = self._host
        if not self._make_room():
            told = "Too many pages of this conversation are open."
            refuse(socket, host.scope.now(), TOO_MANY, None, told, retry_later())
            return
        page = Page(host, self, request)
        page.follow(host.session.phase)
        page.session.take_over(host.session.takeover)
        self.joined.append(page)
        self._requests.joined(page)
        now = host.scope.now()
        opened = host.session_event(page.token)
        page.attach(socket, (opened, frames.history(now, self.history.turns())))
        host.dispatcher.tools.approvals.show(page.browser)
        host.observer.log.info("page_joined", pages=len(self.joined) + 1)
        host.observer.browser("here", now)
        self.arrived(page)

    def _make_room(self) -> bool:
        """Make room for one more: a page that is away gives its place up."""
        while len(self.joined) + (not self.first_is_gone) >= self._limits.chat_pages:
            away = next((page for page in self.joined if not page.browser.is_connected), None)
            if away is not None:
                self.removed(away)
            elif not self.first_is_gone and not self._host.browser.is_connected:
                self._release_first()
            else:
                return False
        return True

    # What pages report

    def spoke(self, page: Page | None, actions: Actions) -> None:
        """A frame of this page's was judged; one that goes to the vendor is activity."""
        if actions is FORWARD or any(type(action) is ToUpstream for action in actions):
            self._requests.active(page)
            for other in self.joined:
                other.follow(self._host.session.phase)

    def arrived(self, page: Page | None) -> None:
        """A page has come, or has come back."""
        self._requests.active(page)
        self._host.dispatcher.last_activity = monotonic()
        if page is not None and self._host.upstream.write_paused:
            page.browser.pause_reading()
        self.changed()

    def removed(self, page: Page) -> None:
        """A joined page is gone for good. Idempotent."""
        page.release()
        if page in self.joined:
            self.joined.remove(page)
            self._requests.removed(page)
            self.changed()

    def first_lost(self, *, for_good: bool) -> None:
        """The first page's socket is gone."""
        if for_good:
            self._release_first()
        self.changed()

    def changed(self) -> None:
        """A page came, went, or reads otherwise than before: see what follows from it."""
        if self._host.is_ending:
            return
        if self.is_anyone_here:
            self._cancel_keep_timer()
            self._requests.reassign()
        elif self._keep_timer is None:
            seconds = max(self._limits.chat_keep, self._host.scope.resume_window)
            loop = asyncio.get_running_loop()
            self._keep_timer = loop.call_later(seconds, self._keep_expired)
        self._host.on_pages_changed()

    def loads(self) -> Iterator[PageLoad]:
        """How much each joined page holds up the vendor."""
        for page in self.joined:
            browser = page.browser
            yield browser.is_connected, page.write_paused, page.session.outgoing.is_full

    # What the vendor says

    def upstream_opened(self) -> None:
        """The vendor is ready: send it what joined pages have said early."""
        for page in self.joined:
            for action in page.session.open(b"")[1:]:
                self._host.dispatcher.apply((action,), b"")
            page.follow(self._host.session.phase)

    def from_upstream(self, at: float, payload: bytes, actions: Actions) -> None:
        """Send joined pages what the first was sent, but requests for tools: those go to one."""
        phase = self._host.session.phase
        for page in self.joined:
            page.follow(phase)
        if actions is not FORWARD and any(type(action) is AwaitBrowserTool for action in actions):
            return
        for action in actions:
            if type(action) is Forward:
                self.history.add(at, payload)
                self._send(payload)
            elif type(action) is ToBrowser:
                self._send(action.payload)
        host = self._host
        if not host.browser.is_connected and host.session.outgoing.is_full and self.is_anyone_here:
            self._release_first()  # what it missed is more than is held: the others go on

    def takes_request(self, actions: Actions) -> bool:
        """Send a request for a browser's tool to the page that was active last.

        False where that is the first page, or no request at all.
        """
        asked = [action.call.id for action in actions if isinstance(action, AwaitBrowserTool)]
        if not asked:
            return False
        return self._requests.send(asked[0], first_is_gone=self.first_is_gone)

    def announce(self, payload: bytes) -> None:
        """Send joined pages one of the gateway's own frames, which has no number."""
        for page in self.joined:
            page.browser.send_unnumbered(payload)

    def set_reading(self, *, reading: bool) -> None:
        """Read joined pages, or let TCP slow them down while the vendor reads slowly."""
        for page in self.joined:
            if reading:
                page.browser.resume_reading()
            else:
                page.browser.pause_reading()

    # The end

    def stop(self) -> None:
        """Take no more frames of joined pages: the end is near."""
        for page in self.joined:
            page.received.is_ending = True

    def start_closing(self, reason: CloseReason, told: bytes) -> None:
        """Close every joined page."""
        self._cancel_keep_timer()
        for page in self.joined:
            page.follow(self._host.session.phase)
            page.browser.start_closing(reason, told)

    async def wait_closed(self, window: float) -> None:
        """Wait up to `window` seconds for joined pages to complete the closing handshake."""
        if self.joined:
            await asyncio.gather(*(page.browser.wait_closed(window) for page in self.joined))

    def stop_waiting_for_close(self) -> None:
        """Wait no longer for pages that are away."""
        for page in self.joined:
            page.browser.stop_waiting_for_close()

    def release(self) -> None:
        """Let go of every joined page: the conversation is over."""
        self._cancel_keep_timer()
        for page in self.joined:
            page.session.close()
            page.release()

    # Helpers

    def _send(self, payload: bytes) -> None:
        for page in tuple(self.joined):
            page.browser.send(payload)
            if page.browser.is_connected:
                page.browser.check_slow_reader()
            elif page.session.outgoing.is_full and self.is_anyone_here:
                self.removed(page)

    def _release_first(self) -> None:
        """Hold nothing more for the first page: it cannot be resumed any more."""
        if not self.first_is_gone:
            self._host.browser.give_up()
            self._host.session.outgoing.release()

    def _cancel_keep_timer(self) -> None:
        if self._keep_timer is not None:
            self._keep_timer.cancel()
            self._keep_timer = None

    def _keep_expired(self) -> None:
        self._keep_timer = None
        self._release_first()
        self._host.end(ENDED)
