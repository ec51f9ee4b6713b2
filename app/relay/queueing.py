"""A session's wait for an upstream session, where their number is bounded over all replicas."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.protocol import frames
from app.relay.browser_life import BrowserLife

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.relay.browser_leg import BrowserLeg
    from app.relay.dependencies import UpstreamPlace


class QueueWait:
    """Waits for `place`, and tells the browser its position. Without a place nothing waits.

    `is_waiting` holds from the start of the wait until upstream may be dialled or the session ends.
    """

    def __init__(
        self, place: UpstreamPlace | None, browser: BrowserLeg, now: Callable[[], float]
    ) -> None:
        self._place = place
        self._browser = browser
        self._now = now
        self.is_waiting = False

    @property
    def must_wait(self) -> bool:
        """Whether upstream may not be dialled yet."""
        return self._place is not None and not self._place.granted

    async def wait(self) -> bool:
        """Return when upstream may be dialled, and whether that took waiting.

        Sends `relay.queued` until then.
        """
        place = self._place
        if place is None:
            return False
        while not place.granted:
            if not self.is_waiting and self._browser.life is BrowserLife.AWAY:
                place.step_aside()
            self.is_waiting = True
            self._tell()
            await place.changed()
        waited, self.is_waiting = self.is_waiting, False
        return waited

    def browser_left(self) -> None:
        """Let others pass until the browser is back."""
        if self.is_waiting and self._place is not None:
            self._place.step_aside()

    def browser_returned(self) -> None:
        """Wait on at the old position, and tell the browser where that is."""
        if self.is_waiting and self._place is not None:
            self._place.come_back()
            self._tell()

    def release(self, *, keep_turn: bool = False) -> None:
        """Give the place back: upstream is closed, or was never dialled."""
        self.is_waiting = False
        if self._place is not None:
            self._place.release(keep_turn=keep_turn)

    def _tell(self) -> None:
        place = self._place
        if place is not None:
            told = frames.queued(self._now(), place.position, place.of, place.turn)
            self._browser.send_unnumbered(told)
