"""One page's view of the tool calls of a conversation that has several pages.

The calls and their answers are shared, so that each is answered once whichever page does it. The
numbers of requests belong to one page: every page counts its own frames.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from app.protocol.tool_ledger import ToolLedger

if TYPE_CHECKING:
    from app.protocol.tool_ledger import Pending

ON_ANOTHER_PAGE: Final = sys.maxsize
"""The number of a request that the first page was not sent: it is never sent to it again."""


class PageCalls(ToolLedger):
    """The calls in `shared`, with the numbers of those requests that this page was sent."""

    def __init__(self, shared: ToolLedger) -> None:
        super().__init__()
        self.running = shared.running
        self.shown = shared.shown
        self.numbers: dict[str, int] = {}
        self._shared = shared

    def answer_to(self, call_id: str) -> bytes | None:
        """What was answered to this id before, by any page."""
        return self._shared.answer_to(call_id)

    def answered(self, call_id: str, payload: bytes) -> None:
        """Settle a call for all pages."""
        self.numbers.pop(call_id, None)
        self._shared.answered(call_id, payload)

    def reissue(self, received: int, count: int) -> tuple[bytes, ...]:
        """Requests numbered up to `received` that this page was sent and no page has answered.

        They get the numbers after `count`.
        """
        again: list[bytes] = []
        for call_id, number in tuple(self.numbers.items()):
            pending = self.shown.get(call_id)
            if pending is None or pending.payload is None:
                del self.numbers[call_id]
            elif number <= received:
                again.append(pending.payload)
                self.numbers[call_id] = count + len(again)
        return tuple(again)


def sent_to_first_page(pending: Pending, count: int) -> Pending:
    """The call, its request numbered as the first page's next frame after `count`."""
    return replace(pending, number=count + 1)


def is_on_another_page(pending: Pending) -> bool:
    """Tell whether the request was sent to another page than the first, or to none yet."""
    return pending.number == ON_ANOTHER_PAGE


def sent_to_another_page(pending: Pending) -> Pending:
    """The call, its request sent to a page that counts for itself."""
    return replace(pending, number=ON_ANOTHER_PAGE)
