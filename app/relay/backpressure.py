"""When to read which leg: no side is read faster than the other takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from app.protocol.replay_buffer import ReplayBuffer
    from app.relay.browser_leg import BrowserLeg
    from app.relay.interface import FurtherPages, PageLoad
    from app.relay.upstream_leg import UpstreamLeg


def may_read_upstream(pages: Iterable[PageLoad]) -> bool:
    """Whether the vendor is to be read: while any connected page takes more.

    With none connected it is read while there is room in what is held for each of them.
    """
    blocked = False
    for is_connected, is_slow, is_full in pages:
        if is_connected and not is_slow:
            return True
        blocked = blocked or is_connected or is_full
    return not blocked


class Backpressure:
    """Pauses and resumes the reading of both legs; `outgoing` is held for the first page.

    `browser_is_slow` is whether the first page's socket takes no more for now. `pages` are the
    further pages of the conversation, if there may be any.
    """

    __slots__ = ("_browser", "_outgoing", "_upstream", "browser_is_slow", "pages")

    def __init__(self, outgoing: ReplayBuffer, browser: BrowserLeg, upstream: UpstreamLeg) -> None:
        self.browser_is_slow = False
        self.pages: FurtherPages | None = None
        self._outgoing = outgoing
        self._browser = browser
        self._upstream = upstream

    def on_browser_writable(self, *, writable: bool) -> None:
        """The first page reads slowly, or has caught up: so is the vendor read."""
        self.browser_is_slow = not writable
        self.update()

    def on_upstream_writable(self, *, writable: bool) -> None:
        """The vendor reads slowly, or has caught up: so are the pages read."""
        if writable:
            self._browser.resume_reading()
        else:
            self._browser.pause_reading()
        if self.pages is not None:
            self.pages.set_reading(reading=writable)

    def check_slow_reader(self) -> None:
        """See whether the first page is too far behind, connected or not."""
        self._browser.check_slow_reader()
        if self._outgoing.is_full and not self._browser.is_connected:
            self.update()

    def acked(self) -> None:
        """The first page has confirmed frames: that matters where there was no room for more."""
        if self._upstream.is_paused:
            self.update()

    def update(self) -> None:
        """Read the vendor only while there is somewhere to put what it says."""
        loads = [(self._browser.is_connected, self.browser_is_slow, self._outgoing.is_full)]
        if self.pages is not None:
            loads.extend(self.pages.loads())
        self._upstream.set_reading(may_read_upstream(loads))
