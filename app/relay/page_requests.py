"""Which page of a chat runs a tool: the one that was active last, as long as it is connected."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.protocol.page_calls import (
    is_on_another_page,
    sent_to_another_page,
    sent_to_first_page,
)

if TYPE_CHECKING:
    from app.relay.browser_leg import BrowserLeg
    from app.relay.page import Page
    from app.relay.page_host import PageHost


class PageRequests:
    """Sends each request for a browser's tool to one page. None stands for the first page."""

    def __init__(self, host: PageHost) -> None:
        self._host = host
        self._by_activity: list[Page | None] = [None]  # the most recently active one is last

    def joined(self, page: Page) -> None:
        """One more page has come."""
        self._by_activity.append(page)

    def removed(self, page: Page) -> None:
        """A joined page is gone for good."""
        self._by_activity.remove(page)

    def active(self, page: Page | None) -> None:
        """A page has come back, or has said something to the vendor."""
        if self._by_activity[-1] is not page and page in self._by_activity:
            self._by_activity.remove(page)
            self._by_activity.append(page)

    def send(self, call_id: str, *, first_is_gone: bool) -> bool:
        """Send a new request on; False where it is the first page's, connected or held for it."""
        here = self._pages_here()
        if here[0] is None if here else not first_is_gone:
            return False
        if here:
            self._assign(call_id, here[0])
        else:
            shown = self._host.session.calls.shown
            shown[call_id] = sent_to_another_page(shown[call_id])
        return True

    def reassign(self) -> None:
        """Send requests whose page is not connected to one that is; there must be one."""
        shown = self._host.session.calls.shown
        for call_id in tuple(shown):
            holder: Page | None = next(
                (page for page in self._joined() if call_id in page.calls.numbers), None
            )
            held = holder is not None or not is_on_another_page(shown[call_id])
            if not (held and self._leg(holder).is_connected):
                self._assign(call_id, self._pages_here()[0])

    def _assign(self, call_id: str, page: Page | None) -> None:
        """Send a pending request to a page, numbered as its next frame."""
        session = self._host.session
        pending = session.calls.shown[call_id]
        for other in self._joined():
            other.calls.numbers.pop(call_id, None)
        if page is None:
            session.calls.shown[call_id] = sent_to_first_page(pending, session.outgoing.count)
        else:
            session.calls.shown[call_id] = sent_to_another_page(pending)
            page.calls.numbers[call_id] = page.session.outgoing.count + 1
        if pending.payload is not None:
            self._leg(page).send(pending.payload)

    def _joined(self) -> list[Page]:
        return [page for page in self._by_activity if page is not None]

    def _pages_here(self) -> list[Page | None]:
        """The connected pages, the most recently active one first."""
        return [page for page in reversed(self._by_activity) if self._leg(page).is_connected]

    def _leg(self, page: Page | None) -> BrowserLeg:
        return self._host.browser if page is None else page.browser
