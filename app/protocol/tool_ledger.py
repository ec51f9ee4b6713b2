"""Idempotency of tool calls: each request id is answered once, and always alike.

Ids are the vendor's, scoped to one conversation. What was answered is remembered, bounded, so that
a repeated id gets the same answer without running again.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from app.protocol.tool import ToolCall

MAX_RUNNING: Final = 64
MAX_REMEMBERED: Final = 256
MAX_REMEMBERED_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Pending:
    """A call that waits for its answer. `payload` and `number` are set when a browser runs it.

    `number` is the position of the request among the frames that were sent to the browser.
    """

    call: ToolCall
    channel: Any
    payload: bytes | None = None
    number: int = 0


class ToolLedger:
    """Which calls run in the backend, which in the browser, and what was answered."""

    def __init__(self) -> None:
        self.running: dict[str, Pending] = {}
        self.shown: dict[str, Pending] = {}
        self._answers: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0

    @property
    def is_full(self) -> bool:
        """Whether as many calls run as one conversation may have."""
        return len(self.running) + len(self.shown) >= MAX_RUNNING

    def knows(self, call_id: str) -> bool:
        """Whether a call with this id runs already."""
        return call_id in self.running or call_id in self.shown

    def name_of(self, call_id: str) -> str:
        """The name of the tool that a pending call asked for."""
        pending = self.running.get(call_id) or self.shown.get(call_id)
        return "" if pending is None else pending.call.name

    def answer_to(self, call_id: str) -> bytes | None:
        """What was answered to this id before."""
        return self._answers.get(call_id)

    def reissue(self, received: int, count: int) -> tuple[bytes, ...]:
        """Requests numbered up to `received` that a browser has not answered.

        They get the numbers after `count`: a browser that is lost once more has them or has not.
        """
        again: list[bytes] = []
        for call_id, pending in self.shown.items():
            if pending.payload is not None and pending.number <= received:
                again.append(pending.payload)
                self.shown[call_id] = replace(pending, number=count + len(again))
        return tuple(again)

    def answered(self, call_id: str, payload: bytes) -> None:
        """Settle a call, and remember its answer within the bounds, the newest in any case."""
        self.running.pop(call_id, None)
        self.shown.pop(call_id, None)
        self._answers[call_id] = payload
        self._size += len(payload)
        while len(self._answers) > 1 and (
            len(self._answers) > MAX_REMEMBERED or self._size > MAX_REMEMBERED_BYTES
        ):
            _, oldest = self._answers.popitem(last=False)
            self._size -= len(oldest)
