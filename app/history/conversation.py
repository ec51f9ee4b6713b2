"""One conversation on its way into history: records in, rows out; pure.

Pieces become turns here, numbers are given out here, and a row once built never changes its key:
writing it twice is writing it once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from app.history.frames import RecordedEvent, Result, TurnFragment, links, read
from app.history.interface import Direction
from app.history.shown import Shown
from app.history.text import clean
from app.history.turn import Row, Turn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.history.interface import ConversationStart
    from app.history.message import Message
    from app.history.transcript import Transcript
    from app.protocol.close_codes import CloseReason


LONGEST_TURN: Final = 16 * 1024
"""Characters after which a turn that never ends is cut in two: every batch rewrites its row."""


@dataclass(slots=True)
class BatchPart:
    """What one batch holds of one conversation; `fed` counts its records by kind, `count` all."""

    conversation: RecordedConversation
    turns: dict[int, Turn] = field(default_factory=dict)
    events: list[Row] = field(default_factory=list)
    tools: list[Row] = field(default_factory=list)
    result: Row | None = None
    end: Row | None = None
    message: Message | None = None
    fed: dict[str, int] = field(default_factory=dict)
    count: int = 0
    size: int = 0

    def feed(self, kind: str, size: int) -> None:
        """Count a record that is in this part; `size` in bytes."""
        self.fed[kind] = self.fed.get(kind, 0) + 1
        self.count += 1
        self.size += size

    def turn_rows(self) -> Iterator[Row]:
        """Build the rows of all turns that began or grew, one at a time."""
        conversation = self.conversation
        name, content = conversation.start.id, conversation.content
        for turn in self.turns.values():
            yield turn.row(name, content=content)


class RecordedConversation:
    """What is known of a conversation from its start until its last row is written.

    `stored` says that its row was committed, `end_stored` that its end was, `erased` that nothing
    more of it may be.
    `lost` counts records that were dropped, `links` are the vendor's `recordingUrl` and
    `inspectorUrl` as far as its frames told them. `shown` masks what is written.
    """

    __slots__ = (
        "_events",
        "_tools",
        "_turn",
        "content",
        "end_stored",
        "erased",
        "links",
        "lost",
        "replica",
        "result",
        "shown",
        "start",
        "stored",
        "transcript",
    )

    def __init__(
        self,
        start: ConversationStart,
        *,
        content: bool,
        transcript: Transcript | None,
        replica: str | None = None,
        shown: Shown | None = None,
    ) -> None:
        self.start = start
        self.replica = replica
        self.shown = shown or Shown()
        self.stored = False
        self.end_stored = False
        self.erased = False
        self.lost = 0
        self.links: dict[str, str] = {}
        self.result: Result | None = None
        self.transcript = transcript
        self.content = content
        self._turn: Turn | None = None
        self._events = 0
        self._tools = 0

    def frame(self, part: BatchPart, direction: Direction, at: float, payload: bytes) -> bool:
        """Read a frame into rows. Returns whether it left any."""
        match read(direction, payload):
            case TurnFragment() as piece:
                self._spoken(part, piece, at)
            case RecordedEvent() as event:
                if direction is Direction.FROM_UPSTREAM:
                    self.links |= links(event.data)
                self._happened(part, event, direction, at)
            case Result() as result:
                self._concluded(part, result, at)
            case None:
                return False
        return True

    def tool(self, part: BatchPart, row: Row) -> None:
        """Take a finished tool call."""
        part.tools.append({"conversation_id": self.start.id, "number": self._tools, **row})
        self._tools += 1

    def ended(self, part: BatchPart, reason: CloseReason, at: float) -> None:
        """Take the end."""
        part.end = {
            "ended_at": at,
            "close_code": reason.code,
            "close_name": reason.name,
            "lost": self.lost,
        }

    def erase(self) -> None:
        """Forget what is held in memory; nothing more of it may be written."""
        self.erased = True
        self._turn = self.result = None
        self.links = {}
        if self.transcript is not None:
            self.transcript.release()

    def row(self) -> Row:
        """Build the conversation's own row."""
        start, shown = self.start, self.shown
        return {
            "id": start.id,
            "agent": clean(start.agent),
            "call_type": clean(start.call_type),
            "subject": clean(start.subject),
            "endpoint": shown.text(start.endpoint) if self.content and start.endpoint else None,
            "additional_data": shown.value(dict(start.additional_data)) if self.content else None,
            "started_at": start.started_at,
            "lost": 0,
            "requested_agent": None
            if start.requested_agent is None
            else clean(start.requested_agent),
            "tenant": start.tenant,
            "replica": self.replica,
        }

    def _spoken(self, part: BatchPart, piece: TurnFragment, at: float) -> None:
        turn = self._turn
        if turn is not None and turn.is_continued_by(piece) and len(turn.text) < LONGEST_TURN:
            turn.add(piece, at)
        else:
            number = 0 if turn is None else turn.number + 1
            turn = self._turn = Turn(
                number, piece.source, piece.text, 1, at, at, piece.speaker, piece.is_held
            )
            turn.redaction = self.shown.growing()
        if self.transcript is not None:
            self.transcript.hear(turn)
        part.turns[turn.number] = turn

    def _happened(
        self, part: BatchPart, seen: RecordedEvent, direction: Direction, at: float
    ) -> None:
        data = seen.data if self.content else None
        part.events.append(
            {
                "conversation_id": self.start.id,
                "number": self._events,
                "at": at,
                "direction": direction.value,
                "type": self.shown.word(seen.type),
                "name": self.shown.optional_word(seen.name),
                "data": None if data is None else self.shown.document(data),
            }
        )
        self._events += 1

    def _concluded(self, part: BatchPart, result: Result, at: float) -> None:
        self.result = result
        self.links |= links(result.body)
        keep, shown = self.content, self.shown
        part.result = {
            "conversation_id": self.start.id,
            "at": at,
            "status": shown.optional_word(result.status),
            "finish_reason": shown.optional_word(result.finish_reason) if keep else None,
            "error_message": shown.optional(result.error_message) if keep else None,
            "body": shown.document(result.body, largest=None) if keep else None,
        }
