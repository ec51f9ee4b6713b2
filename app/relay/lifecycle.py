"""Events of a conversation's life, for the receivers of webhooks."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


class EventType(StrEnum):
    """The types that a receiver can subscribe to."""

    SESSION_STARTED = "session.started"
    SESSION_RESUMED = "session.resumed"
    SESSION_ENDED = "session.ended"
    TOOL_FAILED = "tool.failed"
    TAKEOVER_STARTED = "takeover.started"
    TAKEOVER_ENDED = "takeover.ended"
    GUARDRAIL_BLOCKED = "guardrail.blocked"
    BUDGET_REACHED = "budget.reached"


@dataclass(frozen=True, slots=True)
class LifecycleEvent:
    """One event. `at` is in Unix seconds; `data` is JSON and holds no secret."""

    type: EventType
    session_id: str
    agent: str
    at: float
    data: Mapping[str, Any] = field(default_factory=dict)
    tenant: str | None = None


class LifecycleEvents(Protocol):
    """Takes events; returns at once and never raises."""

    def emit(self, event: LifecycleEvent) -> None:
        """Hand over one event; those of a session are told in their order."""
        ...
