"""How the first page comes and goes: lost, back within its window, or gone for good."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.protocol.close_codes import (
    CANNOT_RESUME,
    ENDED,
    UPSTREAM_FAILED,
    UPSTREAM_TIMEOUT,
    CloseReason,
)
from app.relay.browser_life import BrowserLife

if TYPE_CHECKING:
    from app.relay.parts import RelayParts
    from app.websocket.interface import Socket

# A browser that is away when these happen has frames to come back for.
REASONS_KEPT_FOR_RESUME = (ENDED, UPSTREAM_FAILED, UPSTREAM_TIMEOUT)


class Presence:
    """Decides what the loss and the return of the first page's socket mean."""

    def __init__(self, parts: RelayParts) -> None:
        self._parts = parts
        self._scope = parts.scope
        self._dispatcher = parts.dispatcher
        self._backpressure = parts.dispatcher.backpressure

    def disconnected(self, reason: CloseReason | None) -> None:
        """The socket is gone, for `reason` if that is known to be for good.

        Otherwise it may come back within the window, if it can at all.
        """
        pages, window = self._dispatcher.pages, self._scope.resume_window
        if pages is not None and (reason is None or pages.is_joined_page_here):
            self._backpressure.browser_is_slow = False
            if reason is None and window:
                self._parts.deadlines.start_resume_window(self.on_window_expired)
                pages.first_lost(for_good=False)
            else:
                pages.first_lost(for_good=True)
        elif reason is not None:
            self._parts.end(reason)
        elif not window:
            self._parts.end(ENDED)
        else:
            self._backpressure.browser_is_slow = False
            self._parts.queue.browser_left()
            self._parts.deadlines.start_resume_window(self.on_window_expired)
            self._backpressure.update()

    def on_window_expired(self) -> None:
        """The page did not come back within its window."""
        if self._dispatcher.pages is not None:
            self._dispatcher.pages.first_lost(for_good=True)
            return
        self._dispatcher.browser.give_up()
        self._parts.end(ENDED)

    def may_come_back(self, reason: CloseReason) -> bool:
        """Tell whether a browser may still come for the end: not one that asked for it and left."""
        scope, browser = self._scope, self._dispatcher.browser
        if browser.life is BrowserLife.GONE or not scope.resume_window:
            return False
        has_left = scope.session.hung_up and not browser.is_connected
        return not has_left and reason in REASONS_KEPT_FOR_RESUME

    def resume(self, socket: Socket, received: int) -> None:
        """Take the page's next socket: replay what it missed, or tell it that this is lost."""
        scope, pages, browser = self._scope, self._dispatcher.pages, self._dispatcher.browser
        was_slow = self._backpressure.browser_is_slow
        self._backpressure.browser_is_slow = False  # the new socket will say for itself
        if not browser.resume(socket, received):
            self._backpressure.browser_is_slow = was_slow
            scope.observer.resumed("cannot_resume")
            if pages is not None and not browser.is_connected:
                pages.first_lost(for_good=True)
            elif not browser.is_connected:
                self._parts.end(CANNOT_RESUME)
            return
        scope.observer.resumed("resumed")
        scope.observer.browser("here", scope.now())
        self._dispatcher.tools.approvals.show(browser)
        self._parts.queue.browser_returned()
        self._parts.deadlines.cancel_resume_window()
        if pages is not None:
            pages.arrived(None)
        self._backpressure.update()
        if self._dispatcher.upstream.write_paused:
            browser.pause_reading()
