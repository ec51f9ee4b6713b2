"""What the legs of a conversation are given, and what they report.

They know these interfaces instead of the `Relay`, so that no two modules here import each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from app.protocol.actions import Actions, Publish, WantHuman
    from app.protocol.close_codes import CloseReason
    from app.protocol.initialize import Profile
    from app.websocket.interface import CloseEvent

PageLoad = tuple[bool, bool, bool]
"""Of one page: whether it is connected, whether it is slow, whether what is held for it is full."""


class FrameHandler(Protocol):
    """Takes what a leg's socket receives; the socket calls it without a step between."""

    def text_received(self, payload: bytes) -> None:
        """Judge one text frame, and do what that leads to."""
        ...

    def binary_received(self, size: int) -> None:
        """Take note of a binary message of `size` bytes; the protocol has none."""
        ...

    def read_complete(self) -> None:
        """Take note that all that one read brought has been delivered."""
        ...

    def discard_read(self) -> None:
        """Count no more on the read that is under way: its socket is gone."""
        ...


class BrowserFrameHandler(FrameHandler, Protocol):
    """Takes what a page's sockets receive, one socket after the other."""

    def restart(self) -> None:
        """Forget what was taken and is not judged: the page resumes, and sends it again."""
        ...


class BrowserLegEvents(Protocol):
    """What a browser's leg reports."""

    def on_browser_writable(self, *, writable: bool) -> None:
        """The browser reads slowly, or has caught up."""
        ...

    def on_browser_disconnected(self, reason: CloseReason | None) -> None:
        """The browser's socket is gone; `reason` where that is for good."""
        ...


class UpstreamLegEvents(Protocol):
    """What the vendor's leg reports."""

    def on_upstream_writable(self, *, writable: bool) -> None:
        """The vendor reads slowly, or has caught up."""
        ...

    def on_upstream_disconnected(self, closed: CloseEvent) -> None:
        """The vendor's socket is gone."""
        ...


class LegEvents(BrowserLegEvents, UpstreamLegEvents, Protocol):
    """What both legs of a conversation report, and what its session decides beside them."""

    def on_control_action(self, action: Publish | WantHuman) -> None:
        """Carry out what concerns a person who speaks instead of the agent."""
        ...


class BrowserFrameTarget(Protocol):
    """Where the frames of one page go once they are judged."""

    def apply(self, actions: Actions, payload: bytes) -> None:
        """Carry out what the page's session decided about a frame."""
        ...

    def spoke(self, actions: Actions) -> None:
        """A frame of an observed conversation was judged and carried out."""
        ...

    def on_browser_read_complete(self, arrived: float, count: int) -> None:
        """One read, `count` frames since `arrived` (monotonic seconds), has been judged."""
        ...

    def crashed(self) -> None:
        """End the conversation: judging a frame raised an exception."""
        ...


class UpstreamFrameTarget(Protocol):
    """Where the vendor's frames go once they are judged."""

    pages: FurtherPages | None

    def apply(self, actions: Actions, payload: bytes) -> None:
        """Carry out what the session decided about a frame."""
        ...

    def on_upstream_read_complete(self, arrived: float, count: int) -> None:
        """One read, `count` frames since `arrived` (monotonic seconds), has been judged."""
        ...

    def crashed(self) -> None:
        """End the conversation: judging a frame raised an exception."""
        ...


class FurtherPages(Protocol):
    """Pages beside the first, which are sent copies of what the vendor says."""

    @property
    def is_joined_page_here(self) -> bool:
        """Whether any of them is connected."""
        ...

    def serve(self, profile: Profile, tools: frozenset[str]) -> None:
        """Another agent serves; nothing came from upstream yet."""
        ...

    def upstream_opened(self) -> None:
        """The vendor was sent `initialize`."""
        ...

    def first_lost(self, *, for_good: bool) -> None:
        """The first page's socket is gone."""
        ...

    def arrived(self, page: None) -> None:
        """The first page has come back."""
        ...

    def from_upstream(self, at: float, payload: bytes, actions: Actions) -> None:
        """A frame of the vendor's was judged and carried out."""
        ...

    def takes_request(self, actions: Actions) -> bool:
        """Whether a request for a browser's tool was sent to one of them instead."""
        ...

    def spoke(self, page: None, actions: Actions) -> None:
        """A frame of the first page's was judged."""
        ...

    def announce(self, payload: bytes) -> None:
        """Send them one of the gateway's own frames, which has no number."""
        ...

    def set_reading(self, *, reading: bool) -> None:
        """Read them, or let TCP slow them down."""
        ...

    def loads(self) -> Iterable[PageLoad]:
        """How much each of them holds up the vendor."""
        ...
