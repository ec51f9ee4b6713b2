"""Who gets which lifecycle events."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import SecretStr

    from app.history.lifecycle.event import Event


@dataclass(frozen=True, slots=True)
class EventReceiver:
    """One receiver. `name` is the same on every replica and after every restart.

    `types` are the event types that it gets, None for all. With a `tenant` it gets that tenant's
    events alone. Every one of `secrets` signs; the first encrypts what waits.
    """

    name: str
    url: SecretStr = field(repr=False)
    secrets: tuple[SecretStr, ...] = field(repr=False)
    types: frozenset[str] | None = None
    tenant: str | None = None

    def wants(self, event: Event) -> bool:
        """Tell whether it gets an event."""
        if self.tenant is not None and event.tenant != self.tenant:
            return False
        return self.types is None or event.type in self.types
