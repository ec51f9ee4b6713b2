"""The recorder: what a conversation reports goes into a bounded queue, at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from app.history.conversation import RecordedConversation
from app.history.frames import leaves_a_row
from app.history.interface import Direction
from app.history.queue import OVERHEAD, Bounds, RecordKind, RecordQueue
from app.history.shown import Shown
from app.history.transcript import Budget, Transcript
from app.history.writer import Writer
from app.protocol.frames import INCOMING_CHAT_MESSAGE, compact_head, spaced_head

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from app.history.interface import ConversationStart
    from app.history.pending_ends import PendingEnds
    from app.history.queue import Record
    from app.history.results.composer import Composer
    from app.history.sink import Sink
    from app.history.writer import Counts
    from app.protocol.approval import SettledApproval
    from app.protocol.close_codes import CloseReason
    from app.protocol.tool import ToolCall, ToolResult

FRAME: Final = RecordKind.FRAME
"""Looked up once: an enum's member costs as much as all the rest of noting a frame."""

FROM_BROWSER: Final = Direction.FROM_BROWSER

ECHOED: Final = (compact_head(INCOMING_CHAT_MESSAGE), spaced_head(INCOMING_CHAT_MESSAGE))
"""How most of a browser's frames begin: upstream echoes them as `text`, which is what is kept."""


class QueueRecorder:
    """Implements the port `Recorder`; `run` belongs into the application's TaskGroup.

    `clock` is monotonic, in seconds. `content` says whether what was said may be stored. With a
    `composer` every conversation leaves a message for the result webhook. `on_dropped` is called
    with the number of records lost since the last call. `replica` is this process's name.
    `on_stored` is called with the ids of conversations that are stored now, or never will be.
    `shown` masks all that is written and sent. `ends` are told of every end.
    """

    def __init__(  # noqa: PLR0913 - each is a part of its own
        self,
        bounds: Bounds,
        clock: Callable[[], float],
        sink: Sink,
        *,
        content: bool = True,
        replica: str | None = None,
        composer: Composer | None = None,
        budget: Budget | None = None,
        on_dropped: Callable[[int], None] | None = None,
        on_stored: Callable[[Collection[str]], None] | None = None,
        shown: Shown | None = None,
        ends: PendingEnds | None = None,
    ) -> None:
        self._ends = ends
        self._shown = shown or Shown()
        self._content = content
        self._replica = replica
        self._composer = composer
        self._budget = budget or Budget()
        self._live: dict[str, RecordedConversation] = {}
        self._queue = RecordQueue(bounds, _leaves_a_row)
        self._writer = Writer(self._queue, bounds, clock, sink, composer, on_dropped, on_stored)

    def started(self, start: ConversationStart) -> None:
        """Note that a conversation began. A second start of the same id is no news."""
        if start.id in self._live:
            return
        transcript = Transcript(self._budget) if self._composer is not None else None
        conversation = RecordedConversation(
            start,
            content=self._content,
            transcript=transcript,
            replica=self._replica,
            shown=self._shown,
        )
        self._live[start.id] = conversation
        self._queue.put((RecordKind.STARTED, conversation, OVERHEAD))

    def frame(self, session_id: str, direction: Direction, at: float, payload: bytes) -> None:
        """Note one relayed frame. A browser's chat message is let pass at sight."""
        if direction is FROM_BROWSER and payload.startswith(ECHOED):
            return
        conversation = self._live.get(session_id)
        if conversation is not None:
            size = OVERHEAD + len(payload)
            self._queue.put((FRAME, conversation, size, direction, at, payload))

    def tool(
        self,
        session_id: str,
        call: ToolCall,
        result: ToolResult,
        at: float,
        seconds: float,
        approval: SettledApproval | None = None,
    ) -> None:
        """Note a finished tool call, as it is now: both values may change later."""
        conversation = self._live.get(session_id)
        if conversation is None:
            return
        shown = self._shown
        arguments = shown.value(call.args) if self._content else None
        answer = shown.value(result.result) if self._content else None
        row = {
            "call_id": shown.text(str(call.id)),
            "name": shown.text(call.name),
            "outcome": result.outcome.value,
            "at": at,
            "seconds": seconds,
            "arguments": arguments,
            "result": answer,
            "approval": None if approval is None else approval.state,
            "decided_by": None if approval is None else shown.optional(approval.by),
            "decided_at": None if approval is None else approval.at,
        }
        size = OVERHEAD + len(arguments or "") + len(answer or "")
        self._queue.put((RecordKind.TOOL, conversation, size, row))

    def ended(self, session_id: str, reason: CloseReason, at: float) -> None:
        """Note that a conversation ended; what is reported of it later goes nowhere."""
        conversation = self._live.pop(session_id, None)
        if conversation is not None:
            self._queue.put((RecordKind.ENDED, conversation, OVERHEAD, reason, at))
            if self._ends is not None:
                self._ends.note(conversation, reason, at)

    @property
    def is_recording(self) -> bool:
        """Whether conversations live here."""
        return bool(self._live)

    def is_known(self, session_id: str) -> bool:
        """Whether a conversation lives here."""
        return session_id in self._live

    async def run(self) -> None:
        """Write batches until cancelled; never raises. What is left then is for `flush`."""
        await self._writer.run()

    async def flush(self, seconds: float) -> None:
        """Write what is left, for about that long; what then remains is dropped and counted."""
        await self._writer.flush(seconds)

    async def forget(self, subject: str, tenant: str | None = None) -> frozenset[str]:
        """Let nothing more of a subject's conversations be written. Returns their ids.

        `tenant` None: of any tenant's.

        When this returns, no write that began before is still under way.
        """
        known = (*self._live.values(), *self._writer.conversations())
        found = {
            c for c in known if c.start.subject == subject and tenant in {None, c.start.tenant}
        }
        for conversation in found:
            conversation.erase()
        await self._writer.still.wait()
        return frozenset(c.start.id for c in found)

    def counts(self) -> Counts:
        """Return the numbers; at any time, all that was noted is in exactly one of them."""
        return self._writer.counts()


def _leaves_a_row(record: Record) -> bool:
    """Tell whether a record that has to go would have been kept at all: if not, nothing is lost."""
    return record[0] is not FRAME or leaves_a_row(record[3], record[5])
