"""What the legs and the deadlines of a conversation call in their relay.

They know these interfaces instead of the `Relay`, so that no two modules here import each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio

    from app.protocol.actions import Actions
    from app.protocol.close_codes import CloseReason
    from app.protocol.session import Session
    from app.relay.dependencies import Conversation
    from app.relay.observer import ConversationObserver
    from app.websocket.interface import CloseEvent


class FrameSender(Protocol):
    """The other leg, as far as a leg needs it."""

    def send(self, payload: bytes) -> None:
        """Send one text frame."""
        ...


class ConversationEvents(Protocol):
    """What both legs use: the rules, who observes, and how a decision is carried out."""

    session: Session
    observer: ConversationObserver
    epoch: float
    is_observed: bool

    def apply(self, actions: Actions, payload: bytes) -> None:
        """Carry out what the session decided about a frame."""
        ...

    def crashed(self) -> None:
        """End this session: judging a frame raised an exception."""
        ...


class BrowserLegEvents(ConversationEvents, Protocol):
    """What the browser's leg reports."""

    resume_window: float
    first_frame: asyncio.Future[CloseReason] | None

    @property
    def is_ending(self) -> bool:
        """Whether a reason to end is known."""
        ...

    @property
    def upstream(self) -> FrameSender:
        """The vendor's leg."""
        ...

    def now(self) -> float:
        """Unix seconds that never jump."""
        ...

    def spoke(self, actions: Actions) -> None:
        """A frame was judged, and its conversation is observed."""
        ...

    def on_first_frame(self, wished: asyncio.Future[CloseReason]) -> None:
        """A frame came while the browser's `initialize` was waited for."""
        ...

    def binary_from_browser(self) -> None:
        """A binary message came."""
        ...

    def on_browser_read_complete(self, arrived: float, count: int) -> None:
        """One read, `count` frames since `arrived` (monotonic seconds), has been judged."""
        ...

    def on_browser_write_paused(self) -> None:
        """The browser reads slowly."""
        ...

    def on_browser_write_resumed(self) -> None:
        """The browser caught up."""
        ...

    def on_browser_disconnected(self, reason: CloseReason | None) -> None:
        """The browser's socket is gone; `reason` where that is for good."""
        ...


class UpstreamCopies(Protocol):
    """Where copies of the vendor's frames go."""

    def from_upstream(self, at: float, payload: bytes, actions: Actions) -> None:
        """A frame of the vendor's was judged and carried out."""
        ...


class UpstreamLegEvents(ConversationEvents, Protocol):
    """What the vendor's leg reports."""

    @property
    def browser(self) -> FrameSender:
        """The browser's leg."""
        ...

    @property
    def pages(self) -> UpstreamCopies | None:
        """Further pages that are sent what the vendor says, if there may be any."""
        ...

    def binary_from_upstream(self) -> None:
        """A binary message came."""
        ...

    def on_upstream_read_complete(self, arrived: float, count: int) -> None:
        """One read, `count` frames since `arrived` (monotonic seconds), has been judged."""
        ...

    def on_upstream_write_paused(self) -> None:
        """The vendor reads slowly."""
        ...

    def on_upstream_write_resumed(self) -> None:
        """The vendor caught up."""
        ...

    def on_upstream_disconnected(self, closed: CloseEvent) -> None:
        """The vendor's socket is gone."""
        ...


class DeadlineEvents(Protocol):
    """What a conversation's deadlines look at, and what they call."""

    conversation: Conversation
    session: Session
    resume_window: float

    @property
    def idle_for(self) -> float:
        """Seconds since the last frame or tool result."""
        ...

    @property
    def is_kept(self) -> bool:
        """Whether the conversation is kept open although no page is there."""
        ...

    def end(self, reason: CloseReason, message: str | None = None) -> None:
        """End the conversation; the first reason wins."""
        ...

    def on_resume_window_expired(self) -> None:
        """The browser did not come back within its window."""
        ...
