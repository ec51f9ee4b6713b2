"""How the first page comes and goes: lost, back within its window, or gone for good."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.protocol.close_codes import CANNOT_RESUME, ENDED, CloseReason

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.relay.deadlines import SessionDeadlines
    from app.relay.dispatch import Dispatcher
    from app.relay.queueing import QueueWait
    from app.relay.scope import Scope
    from app.websocket.interface import Socket


class Presence:
    """Decides what the loss and the return of the first page's socket mean.

    `end` ends the conversation. `window_expired`: the page did not come back in time.
    """

    def __init__(
        self,
        scope: Scope,
        dispatcher: Dispatcher,
        deadlines: SessionDeadlines,
        queue: QueueWait,
        end: Callable[[CloseReason], None],
    ) -> None:
        self.window_expired = False
        self._scope = scope
        self._dispatcher = dispatcher
        self._backpressure = dispatcher.backpressure
        self._deadlines = deadlines
        self._queue = queue
        self._end = end

    def disconnected(self, reason: CloseReason | None) -> None:
        """The socket is gone, for `reason` if that is known to be for good.

        Otherwise it may come back within the window, if it can at all.
        """
        pages, window = self._dispatcher.pages, self._scope.resume_window
        if pages is not None and (reason is None or pages.is_joined_page_here):
            self._backpressure.browser_is_slow = False
            if reason is None and window:
                self._deadlines.start_resume_window()
                pages.first_lost(for_good=False)
            else:
                pages.first_lost(for_good=True)
        elif reason is not None:
            self._end(reason)
        elif not window:
            self._end(ENDED)
        else:
            self._backpressure.browser_is_slow = False
            self._queue.browser_left()
            self._deadlines.start_resume_window()
            self._backpressure.update()

    def on_window_expired(self) -> None:
        """The page did not come back within its window."""
        if self._dispatcher.pages is not None:
            self._dispatcher.pages.first_lost(for_good=True)
            return
        self.window_expired = True
        self._end(ENDED)

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
                self._end(CANNOT_RESUME)
            return
        scope.observer.resumed("resumed")
        scope.observer.browser("here", scope.now())
        self._dispatcher.tools.approvals.show(browser)
        self._queue.browser_returned()
        self._deadlines.cancel_resume_window()
        if pages is not None:
            pages.arrived(None)
        self._backpressure.update()
        if self._dispatcher.upstream.write_paused:
            browser.pause_reading()
