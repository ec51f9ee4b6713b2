"""An agent's turn that arrives in pieces: what is judged of each, and what of it is shown.

A piece is judged together with all that the agent has said since the user last spoke, so that what
is forbidden cannot pass in parts. What was shown has been passed as it stood; only what a later
verdict adds is shown after it. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from app.protocol.texts import Spoken

MAX_TURN: Final = 16 * 1024
"""Characters of a turn that are judged together; a longer one is judged in parts."""

TURN_GAP: Final = 1.0
"""Seconds of silence after which what was blocked is no more judged with the next piece."""


class GuardedTurn:
    """The agent's present turn, while guardrails judge it."""

    __slots__ = ("_approved", "_at", "_blocked", "_partial", "_said")

    def __init__(self) -> None:
        self._said = ""  # what was let through, as the agent said it
        self._approved = ""  # what stood for that in the verdict
        self._blocked = ""  # what was blocked at its end
        self._partial: str | None = None  # the not yet final text that the page shows
        self._at = 0.0

    def user_spoke(self) -> None:
        """The user spoke: the agent's next text begins a turn."""
        self._said = self._approved = self._blocked = ""
        self._partial = None

    def judged(self, piece: Spoken, at: float) -> str:
        """The text that is to be judged for a piece that came at `at` (seconds)."""
        if at - self._at > TURN_GAP:
            self._blocked = ""
        self._at = at
        if len(self._said) + len(self._blocked) > MAX_TURN:
            self._said = self._approved = self._blocked = ""
        return self._said + self._blocked + piece.text

    def passed(self, piece: Spoken) -> None:
        """The piece is shown as it is."""
        if piece.partial:
            self._partial = piece.text
            return
        self._said += self._blocked + piece.text
        self._approved = self._said
        self._blocked, self._partial = "", None

    def masked(self, piece: Spoken, text: str) -> str:
        """Return what the piece is to say, where `text` is to stand for all that was judged."""
        shown = text[_common(text, self._approved) :]
        if piece.partial:
            self._partial = shown
        else:
            self._said += self._blocked + piece.text
            self._approved, self._blocked, self._partial = text, "", None
        return shown

    def blocked(self, piece: Spoken) -> tuple[str | None, bool]:
        """The piece is not shown: what is shown in its place, and whether the page is told.

        In place of a final text stands the last partial one that was shown, if there was one. The
        page is told once for all pieces that are blocked in a row.
        """
        if piece.partial:
            return None, False
        first, last = not self._blocked, self._partial
        self._partial = None
        if last is not None:
            self._said += last
            self._approved += last
        self._blocked += piece.text.removeprefix(last or "")
        return last, first


def _common(one: str, other: str) -> int:
    """How many characters two texts have in common at their beginning."""
    if one.startswith(other):
        return len(other)
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(one))
