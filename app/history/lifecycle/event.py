"""An event as its receivers get it, and on its way to one of them.

The body is what Standard Webhooks recommends: `type`, `timestamp` (ISO 8601) and `data`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

from app.history.text import as_json

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_BODY: Final = 64 * 1024
"""Bytes; the `data` of a larger event is left out, and its size told in its place."""


class Event(Protocol):
    """What happened, `at` in Unix seconds: `app.relay.lifecycle.LifecycleEvent`."""

    @property
    def type(self) -> str:
        """Its type, such as `session.started`."""
        ...

    @property
    def session_id(self) -> str:
        """Of which session; empty if of none."""
        ...

    @property
    def agent(self) -> str:
        """The session's agent; empty if of none."""
        ...

    @property
    def at(self) -> float:
        """When."""
        ...

    @property
    def data(self) -> Mapping[str, Any]:
        """More, by its type."""
        ...

    @property
    def tenant(self) -> str | None:
        """Whose, where there are tenants."""
        ...


@dataclass(frozen=True, slots=True)
class EventDelivery:
    """One event for one receiver; `id` is the webhook id of all tries.

    `sequence` grows with every event of a process, so that it orders those of a session.
    `deadline` is in Unix seconds: nothing is sent after it.
    """

    id: str
    receiver: str
    session_id: str | None
    sequence: int
    type: str
    agent: str
    tenant: str | None
    created_at: float
    deadline: float
    body: bytes = field(repr=False)
    sealed: bool = False


def body_of(event: Event) -> bytes:
    """Write an event; the same bytes for all receivers."""
    about: dict[str, Any] = {"session_id": event.session_id or None, "agent": event.agent or None}
    if event.tenant is not None:
        about["tenant"] = event.tenant
    moment = datetime.fromtimestamp(event.at, UTC).isoformat(timespec="milliseconds")
    document = {"type": str(event.type), "timestamp": moment.replace("+00:00", "Z")}
    written = as_json(document | {"data": about | dict(event.data)}, largest=None).encode()
    if len(written) <= MAX_BODY:
        return written
    return as_json(document | {"data": about | {"too_large": len(written)}}, largest=None).encode()
