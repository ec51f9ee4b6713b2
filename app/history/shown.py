"""What may be written of a conversation: fit for a database, bounded, and masked if that is set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app.history.frames import WORD
from app.history.text import LARGEST_VALUE, as_json, bounded, clean
from app.protocol.redaction import CUT
from app.protocol.redaction_stream import GrowingRedaction

if TYPE_CHECKING:
    from app.protocol.redaction import Redaction


@dataclass(frozen=True, slots=True)
class Shown:
    """Masks by `redaction`; without one only makes texts and JSON fit."""

    redaction: Redaction | None = None

    def text(self, text: str) -> str:
        """A text."""
        return clean(text if self.redaction is None else self.redaction.mask(text))

    def word(self, text: str) -> str:
        """A type, a name or a status, which was cut at `WORD` characters."""
        cut = self.redaction is not None and len(text) >= WORD
        return self.text(text + CUT) if cut else self.text(text)

    def optional(self, text: str | None) -> str | None:
        """A text that may be missing or empty, which is written as missing."""
        return self.text(text) if text else None

    def optional_word(self, text: str | None) -> str | None:
        """A word that may be missing or empty, which is written as missing."""
        return self.word(text) if text else None

    def value(self, value: object, largest: int | None = LARGEST_VALUE) -> str:
        """JSON of a value, or how large it is if it has more than `largest` bytes."""
        encoded = as_json(value, largest)
        return self._masked(encoded.encode()) if self.redaction is not None else encoded

    def document(self, encoded: bytes, largest: int | None = LARGEST_VALUE) -> str:
        """A JSON document, or how large it is if it has more than `largest` bytes."""
        if self.redaction is None or (largest is not None and len(encoded) > largest):
            return encoded.decode() if largest is None else bounded(encoded, largest)
        return self._masked(encoded)

    def json(self, value: Any) -> Any:
        """A JSON value."""
        return value if self.redaction is None else self.redaction.mask_value(value)

    def growing(self) -> GrowingRedaction | None:
        """What masks a text that grows, if anything does."""
        return None if self.redaction is None else GrowingRedaction(self.redaction)

    def _masked(self, encoded: bytes) -> str:
        assert self.redaction is not None  # noqa: S101 - callers have looked
        return self.redaction.mask_json(encoded).decode()
