"""A result on its way to the webhook, as a value: written once, sent under one id."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Message:
    """One result. `deadline` is in Unix seconds: it is never sent after that."""

    id: str
    conversation_id: str
    created_at: float
    deadline: float
    body: bytes = field(repr=False)
    sealed: bool = False
