"""A message to the replica that has a session, where "not told" must not pass for "dead"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from app.protocol.errors import StoreUnavailable

if TYPE_CHECKING:
    from app.state.interface import SessionRow


class Inboxes(Protocol):
    """What must be known of the other replicas."""

    async def tell(self, replica: str, message: bytes) -> bool:
        """Send a message; False while the replica shows no sign of life."""
        ...

    async def alive(self, replica: str) -> bool:
        """Say whether a replica lives. Raises `StoreUnavailable` while that is unknown."""
        ...


async def tell_owner(replicas: Inboxes, row: SessionRow, message: bytes) -> bool:
    """Send a message to a session's owner; False only if that is known to be dead.

    Raises `StoreUnavailable` if it was not told and may be alive: asking again may help.
    """
    if await replicas.tell(row.replica, message):
        return True
    if await replicas.alive(row.replica):
        raise StoreUnavailable("tell: the owner was not told")
    return False
