"""What history answers: conversations, turns, events and tool calls, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """One page; `next` is the cursor of the following one, or None at the end."""

    items: tuple[Item, ...]
    next: str | None = None


@dataclass(frozen=True, slots=True)
class StoredConversation:
    """One conversation. Times are Unix seconds.

    `ended_at` is None while it lives, and for good when its gateway died. `lost` counts the
    records that did not make it here. `requested_agent` is the agent that was asked for, where
    another one served. `endpoint` and `additional_data` are content. `tenant` owns the agent;
    None: the operator.
    """

    id: str
    agent: str
    call_type: str
    subject: str
    endpoint: str | None
    additional_data: Any
    started_at: float
    ended_at: float | None
    close_code: int | None
    close_name: str | None
    lost: int
    requested_agent: str | None = None
    tenant: str | None = None


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """What one side said in one go; `text` is None where content is not kept.

    `speaker` is "agent", "backend", "operator", "user", or another source as it is. `held`: no
    page was shown it, because a person had taken over.
    """

    number: int
    source: str
    text: str | None
    pieces: int
    started_at: float
    ended_at: float
    speaker: str
    held: bool


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """Any other frame; `data` is JSON, or None."""

    number: int
    at: float
    direction: str
    type: str
    name: str | None
    data: Any


@dataclass(frozen=True, slots=True)
class StoredToolCall:
    """One tool call; `arguments` and `result` are JSON, or None where content is not kept.

    `approval` is `approved`, `declined`, `expired` or `too_large`, None for a tool that needs none;
    `decided_by` is who decided, `decided_at` when (Unix seconds).
    """

    number: int
    call_id: str
    name: str
    outcome: str
    at: float
    seconds: float
    arguments: Any
    result: Any
    approval: str | None = None
    decided_by: str | None = None
    decided_at: float | None = None


@dataclass(frozen=True, slots=True)
class StoredResult:
    """What the vendor concluded, and how far its delivery to the webhook is.

    `delivery` is "waiting", "delivered", "given_up", or None where there is no webhook.
    """

    at: float | None
    status: str | None
    finish_reason: str | None
    error_message: str | None
    body: Any
    delivery: str | None
    attempts: int


@dataclass(frozen=True, slots=True)
class Filters:
    """Which conversations; None is any. `since` is included, `until` is not."""

    agent: str | None = None
    subject: str | None = None
    call_type: str | None = None
    since: float | None = None
    until: float | None = None
    tenant: str | None = None
