"""How often either side may break the protocol before that ends the conversation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from app.protocol import frames
from app.protocol.actions import NOTHING, Actions, Count, End, ToBrowser
from app.protocol.close_codes import UPSTREAM_FAILED

if TYPE_CHECKING:
    from app.protocol.validation import FrameRejected

MAX_VIOLATIONS: Final = 3


class Violations:
    """Counts of one conversation: the browser's frames refused, the vendor's not read."""

    __slots__ = ("_of_browser", "_of_upstream", "_session_id")

    def __init__(self, session_id: str) -> None:
        self._session_id = session_id
        self._of_browser = 0
        self._of_upstream = 0

    def by_browser(self, refused: FrameRejected, now: float) -> Actions:
        """Tell a browser what was wrong; the third time, that ends the conversation."""
        self._of_browser += 1
        if self._of_browser >= MAX_VIOLATIONS:
            return (Count(refused.count), End(refused.reason, str(refused)))
        frame = frames.error(now, refused.reason, self._session_id, str(refused))
        return (Count(refused.count), ToBrowser(frame))

    def by_upstream(self) -> Actions:
        """Count a frame that cannot be read; the third time, upstream has failed."""
        self._of_upstream += 1
        if self._of_upstream > MAX_VIOLATIONS:
            return NOTHING
        if self._of_upstream == MAX_VIOLATIONS:
            return (Count("malformed_upstream"), End(UPSTREAM_FAILED))
        return (Count("malformed_upstream"),)
