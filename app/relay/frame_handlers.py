"""What the sockets of both legs receive: judged by the session, then forwarded or acted upon.

`text_received` of either direction is the hot path: the socket's parser calls it, and it calls the
other leg. It makes no call that need not be, and looks at the clock once per read.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from app.history.interface import Direction
from app.protocol.actions import FORWARD, HELD, HELD_ECHO, NOTHING, Announce

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.protocol.session import Session
    from app.relay.browser_leg import BrowserLeg
    from app.relay.interface import BrowserFrameTarget, UpstreamFrameTarget
    from app.relay.observer import ConversationObserver
    from app.relay.upstream_leg import UpstreamLeg


class BrowserFrames:
    """What one page's socket receives, on its way to the vendor.

    `epoch` is the Unix time at which the monotonic clock was zero. `is_ending` drops what still
    comes; `is_observed` shows frames to the observer; `on_first_frame` is called behind each frame
    while the page's `initialize` is waited for.
    """

    __slots__ = (
        "_arrived",
        "_count",
        "_observer",
        "_session",
        "_target",
        "epoch",
        "is_ending",
        "is_observed",
        "on_first_frame",
        "upstream",
    )

    def __init__(
        self,
        session: Session,
        observer: ConversationObserver,
        target: BrowserFrameTarget,
        epoch: float,
        *,
        upstream: UpstreamLeg | None = None,
    ) -> None:
        self.epoch = epoch
        self.is_ending = False
        self.is_observed = False
        self.on_first_frame: Callable[[], None] | None = None
        self.upstream = upstream
        self._session = session
        self._observer = observer
        self._target = target
        self._arrived = 0.0
        self._count = 0

    def text_received(self, payload: bytes) -> None:
        """Judge a frame, and do what that leads to; an exception ends this session alone.

        What one read brings behind the frame that ended it all is neither judged nor counted.
        """
        if self.is_ending:
            return
        if not self._count:
            self._arrived = monotonic()
        self._count += 1
        at = self.epoch + self._arrived
        try:
            actions = self._session.from_browser(payload, at)
            if actions is FORWARD:
                self.upstream.send(payload)  # type: ignore[union-attr] # it is set by then
            else:
                self._target.apply(actions, payload)
                if actions and type(actions[0]) is Announce:
                    self._count -= 1  # a ping is no activity: it must not keep an idle session
                    return
            if self.on_first_frame is not None:
                self.on_first_frame()
            if self.is_observed and actions is not NOTHING:
                self._observer.frame(Direction.FROM_BROWSER, at, payload)
                self._target.spoke(actions)
        except Exception:  # noqa: BLE001 - the outermost handler of what a frame causes
            self._target.crashed()

    def binary_received(self, size: int) -> None:  # noqa: ARG002 - how large it was is no matter
        """Refuse a binary message: the protocol has none."""
        if not self.is_ending:
            at = self.epoch + monotonic()
            self._target.apply(self._session.binary_from_browser(at), b"")

    def read_complete(self) -> None:
        """Report what one read has brought."""
        if self._count:
            self._target.on_browser_read_complete(self._arrived, self._count)
            self._count = 0

    def discard_read(self) -> None:
        """Count no more on the read that is under way: its socket is gone."""
        self._count = 0

    def restart(self) -> None:
        """Forget nothing: what was taken is judged."""


class UpstreamFrames:
    """What the vendor's socket receives, on its way to the browser."""

    __slots__ = (
        "_arrived",
        "_at",
        "_browser",
        "_count",
        "_epoch",
        "_observer",
        "_session",
        "_target",
        "is_observed",
    )

    def __init__(
        self,
        session: Session,
        observer: ConversationObserver,
        target: UpstreamFrameTarget,
        epoch: float,
        *,
        browser: BrowserLeg,
    ) -> None:
        self.is_observed = False
        self._browser = browser
        self._session = session
        self._observer = observer
        self._target = target
        self._epoch = epoch
        self._arrived = 0.0
        self._at = 0.0
        self._count = 0

    def text_received(self, payload: bytes) -> None:
        """Judge a frame, and do what that leads to; an exception ends this session alone."""
        if not self._count:
            self._arrived = arrived = monotonic()
            self._at = self._epoch + arrived
        self._count += 1
        try:
            actions = self._session.from_upstream(payload, self._at)
            if actions is FORWARD:
                self._browser.send(payload)
            else:
                self._target.apply(actions, payload)
            if self.is_observed:
                if actions is HELD:
                    self._observer.frame(Direction.HELD, self._at, payload)
                elif actions is not HELD_ECHO:
                    self._observer.frame(Direction.FROM_UPSTREAM, self._at, payload)
                if self._target.pages is not None:
                    self._target.pages.from_upstream(self._at, payload, actions)
        except Exception:  # noqa: BLE001 - the outermost handler of what a frame causes
            self._target.crashed()

    def binary_received(self, size: int) -> None:  # noqa: ARG002 - how large it was is no matter
        """Drop and count a binary message: the protocol has none."""
        self._target.apply(self._session.malformed_from_upstream(), b"")

    def read_complete(self) -> None:
        """Report what one read has brought."""
        if self._count:
            self._target.on_upstream_read_complete(self._arrived, self._count)
            self._count = 0

    def discard_read(self) -> None:
        """Count no more on the read that is under way: its socket is gone."""
        self._count = 0
