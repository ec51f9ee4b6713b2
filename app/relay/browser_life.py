"""The states of a browser's leg, over all of its sockets."""

from __future__ import annotations

from enum import StrEnum


class BrowserLife(StrEnum):
    """Where a page's leg stands. It may go from AWAY to CONNECTED and back any number of times.

    NEVER: no socket yet, as in a call that a backend started. AWAY: it may resume. GONE: it is not
    waited for any more, as its window is over or what it missed is more than is held; one that
    comes all the same is told the end, or that it cannot resume.
    """

    NEVER = "none"
    CONNECTED = "here"
    AWAY = "away"
    GONE = "gone"

    @property
    def published(self) -> str:
        """Its name in `GET /v1/sessions`, which knows no difference between AWAY and GONE."""
        return BrowserLife.AWAY.value if self is BrowserLife.GONE else self.value
