"""One turn of a conversation: what one side said until the other did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from app.history.text import clean

if TYPE_CHECKING:
    from app.history.frames import TurnFragment
    from app.protocol.redaction_stream import GrowingRedaction

Row: TypeAlias = dict[str, Any]
"""Column names and values, as the database takes them."""


@dataclass(slots=True)
class Turn:
    """What one side said until the other did; `redaction` masks what is shown of it.

    `is_stored`: a row of it was committed.
    """

    number: int
    source: str
    text: str
    pieces: int
    started_at: float
    ended_at: float
    speaker: str = ""
    is_held: bool = False
    redaction: GrowingRedaction | None = None
    is_stored: bool = False

    def is_continued_by(self, piece: TurnFragment) -> bool:
        """Tell whether a piece is part of this turn: of the same speaker, and as visible."""
        return (self.source, self.speaker, self.is_held) == (
            piece.source,
            piece.speaker,
            piece.is_held,
        )

    def add(self, piece: TurnFragment, at: float) -> None:
        """Append a piece of the same source."""
        self.text = join(self.text, piece.text)
        self.pieces += 1
        self.ended_at = at

    def shown(self) -> str:
        """What was said, as it may be kept and shown."""
        return self.text if self.redaction is None else self.redaction.mask(self.text)

    def _word(self, word: str) -> str:
        return clean(word if self.redaction is None else self.redaction.word(word))

    def row(self, conversation_id: str, *, content: bool) -> Row:
        """Build its row as it is now."""
        return {
            "conversation_id": conversation_id,
            "number": self.number,
            "source": self._word(self.source),
            "text": clean(self.shown()) if content else None,
            "pieces": self.pieces,
            "started_at": self.started_at,
            "ended_at": self.ended_at,
            "speaker": self._word(self.speaker),
            "held": self.is_held,
        }


def join(said: str, more: str) -> str:
    """Join two pieces of a turn: as they are, but for a space between two glued sentences."""
    if said[-1:] in {".", "!", "?", "…"} and more[:1].isupper():
        return f"{said} {more}"
    return said + more
