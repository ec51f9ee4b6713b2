"""What the pages of a chat use of their conversation, and what each of them reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from app.protocol.actions import Actions
    from app.protocol.close_codes import CloseReason
    from app.protocol.session import Session
    from app.relay.browser_leg import BrowserLeg
    from app.relay.dispatch import Dispatcher
    from app.relay.observer import ConversationObserver
    from app.relay.scope import Scope
    from app.relay.upstream_leg import UpstreamLeg

PageT_contra = TypeVar("PageT_contra", contravariant=True)


class PageHost(Protocol):
    """What the pages of a chat use of their conversation.

    `browser` is the first page's leg, `session` its rules.
    """

    scope: Scope
    session: Session
    observer: ConversationObserver
    dispatcher: Dispatcher
    browser: BrowserLeg
    upstream: UpstreamLeg
    is_ending: bool

    def session_event(self, token: str | None) -> bytes:
        """`relay.session` for a page that resumes by `token`."""
        ...

    def terminated_by_page(self) -> None:
        """A page has sent `terminate` upstream."""
        ...

    def on_pages_changed(self) -> None:
        """A page came, went, or reads otherwise than before."""
        ...

    def end(
        self, reason: CloseReason, message: str | None = None, retry_after: float | None = None
    ) -> None:
        """End the conversation; the first reason wins."""
        ...


class PageEvents(Protocol[PageT_contra]):
    """What a joined page reports."""

    def spoke(self, page: PageT_contra, actions: Actions) -> None:
        """A frame of this page's was judged."""
        ...

    def arrived(self, page: PageT_contra) -> None:
        """This page has come back."""
        ...

    def removed(self, page: PageT_contra) -> None:
        """This page is gone for good."""
        ...

    def changed(self) -> None:
        """A page came, went, or reads otherwise than before."""
        ...
