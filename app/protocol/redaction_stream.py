"""Masks texts that arrive in pieces, shown piece by piece or as the whole that they make.

Piece by piece, as in the live watch: what one piece begins and the next completes is found by
looking at both. A piece that ends in what may be the beginning of a number or an address is shown
without that end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from app.protocol.redaction import UNFINISHED, masked
from app.protocol.redaction_rules import fold, open_end

if TYPE_CHECKING:
    from app.protocol.redaction import Redaction

KEPT_BEHIND: Final = 2048
"""Characters at the end of a growing text that are looked at again."""

KEPT: Final = 256
"""Characters of a turn's latest pieces that are looked at together with the next one."""


class StreamRedaction:
    """Masks the pieces of a conversation's turns in their order; `source` is who speaks."""

    __slots__ = ("_kept", "_redaction", "_source")

    def __init__(self, redaction: Redaction) -> None:
        self._redaction = redaction
        self._source: str | None = None
        self._kept = ""

    def piece(self, source: str, text: str) -> str:
        """Mask the next piece."""
        before = self._kept if source == self._source else ""
        joined = before + text
        self._source, self._kept = source, joined[-KEPT:]
        spans = self._redaction.spans(joined)
        begin = len(before)
        settled = max((end for _, end, _ in spans), default=0)
        tail = open_end(fold(joined), max(settled, len(joined) - KEPT))
        if tail < len(joined):
            spans.append((tail, len(joined), UNFINISHED))
        parts: list[str] = []
        position = begin
        for first, last, label in spans:
            if last > position:
                parts += (joined[position : max(first, position)], f"[{label}]")
                position = last
        parts.append(joined[position:])
        return "".join(parts)


class GrowingRedaction:
    """Masks a text that grows at its end, looking at most of it once.

    What is more than `KEPT_BEHIND` characters from the end is settled, but for what a rule has
    found across that place.
    """

    __slots__ = ("_masked", "_redaction", "_settled")

    def __init__(self, redaction: Redaction) -> None:
        self._redaction = redaction
        self._masked = ""
        self._settled = 0  # characters of the text, which `_masked` stands for

    def mask(self, text: str) -> str:
        """Mask the whole text; it must begin with what was given before."""
        rest = text[self._settled :]
        spans = self._redaction.spans(rest)
        if len(rest) > 2 * KEPT_BEHIND:
            rest = self._settle(rest, spans)
            spans = self._redaction.spans(rest)
        return self._masked + masked(rest, spans)

    def word(self, text: str) -> str:
        """Mask a short text that stands beside the growing one."""
        return self._redaction.mask(text)

    def _settle(self, rest: str, spans: list[tuple[int, int, str]]) -> str:
        """Keep the mask of what is far from the end; return the text that is left."""
        end = rest.rfind(" ", 0, len(rest) - KEPT_BEHIND) + 1
        end = end or len(rest) - KEPT_BEHIND
        end = min([end, *(begin for begin, last, _ in spans if begin < end < last)])
        self._masked += masked(rest[:end], [span for span in spans if span[1] <= end])
        self._settled += end
        return rest[end:]
