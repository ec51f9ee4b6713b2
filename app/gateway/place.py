"""One session's claim to a live upstream session, and its position while it waits for one."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from app.state.places import Standing, Waiter

if TYPE_CHECKING:
    from app.state.places import PlaceStatus


class PlaceOwner(Protocol):
    """Synchronizes this replica's places with the shared store."""

    def leave(self, place: Place, *, keep_turn: bool) -> None:
        """Free what a session holds, or end its waiting."""
        ...

    def free(self, place: Place, kept: Waiter | None) -> None:
        """Tell the store soon that a session holds nothing, and what is kept for its browser."""
        ...

    def wake(self) -> None:
        """Look soon at what has become of this replica's sessions."""
        ...


class Place:
    """One session's claim to a live upstream session. `granted`: it may dial.

    While it waits, `position` counts from 1 to `of`. `turn` is a secret by which its browser keeps
    its position on another replica, see `release`.
    """

    def __init__(self, places: PlaceOwner, session_id: str, turn: str) -> None:
        self.session_id = session_id
        self.granted = False
        self.position = 0
        self.of = 0
        self.turn = secrets.token_urlsafe(18)
        self.number = 0
        self.offered = turn
        self.aside = False
        self.since = monotonic()
        self.entered: asyncio.Future[Standing] = asyncio.get_running_loop().create_future()
        self._places = places
        self._changed = asyncio.Event()

    @property
    def waited(self) -> bool:
        """Whether it was not granted at once."""
        return self.number > 0

    async def changed(self) -> None:
        """Wait until the position changes or the place is granted."""
        await self._changed.wait()
        self._changed.clear()

    def step_aside(self) -> None:
        """Let others pass while the browser is away; what is granted stays."""
        if not self.granted and not self.aside:
            self.aside = True
            self._places.free(self, None)

    def come_back(self) -> None:
        """Wait again, at the old number."""
        if self.aside:
            self.aside = False
            self._places.wake()

    def release(self, *, keep_turn: bool = False) -> None:
        """Give the place back, or stop waiting. Idempotent.

        `keep_turn` keeps the number of one that still waits, for a browser that brings its `turn`.
        """
        self._places.leave(self, keep_turn=keep_turn)

    def update(self, status: PlaceStatus, of: int) -> bool:
        """Take over what the store said; whether the place is granted by it."""
        if status.standing is Standing.HELD:
            self.granted = True
            self._changed.set()
            return True
        moved = (self.position, self.of) != (status.position, of)
        self.number, self.position, self.of = status.number or self.number, status.position, of
        if moved:
            self._changed.set()
        return False


def hashed(turn: str) -> str:
    """What the store knows a `turn` by."""
    return hashlib.sha256(turn.encode("utf-8", "surrogatepass")).hexdigest()
