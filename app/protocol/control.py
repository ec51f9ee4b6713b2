"""What a backend or an operator may do to a live conversation: commands and their answers.

A command passes between replicas as JSON, and carries an id: its owner carries each id out once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from app.protocol.close_codes import (
    ENDED,
    FORBIDDEN,
    IDLE,
    MAX_DURATION,
    OVERLOADED,
    TOO_MANY,
    UNAUTHENTICATED,
    CloseReason,
)
from app.protocol.tagged_json import TaggedJson

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_CONTENT: Final = 32 * 1024
MAX_EVENT_DATA: Final = 16 * 1024
MAX_SENTENCE: Final = 2 * 1024
MAX_SUMMARY: Final = 16 * 1024
MAX_OPERATOR: Final = 256
"""Bytes of UTF-8: what is said, an event's data as JSON, a sentence about the end, a name."""

EVENT_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")
RESERVED_EVENTS: Final = frozenset(
    (
        *("session", "history", "resumed", "received", "ping", "pong", "queued", "draining"),
        *("warning", "error", "notice", "takeover", "handback"),
        *("approval", "approval_request", "approval_settled"),
    )
)
"""Names behind `relay.` that are the gateway's own."""

END_REASONS: Final = {
    reason.code: reason
    for reason in (*(ENDED, UNAUTHENTICATED, FORBIDDEN, IDLE, TOO_MANY, MAX_DURATION, OVERLOADED),)
}
"""The close codes by which a backend may end a conversation."""


class Speaker(StrEnum):
    """Who said something in a conversation."""

    AGENT = "agent"
    BACKEND = "backend"
    OPERATOR = "operator"
    USER = "user"


class As(StrEnum):
    """In whose name a message is said."""

    USER = "user"
    AGENT = "agent"
    NOTICE = "notice"


@dataclass(frozen=True, slots=True)
class Say:
    """Say `content`. `speaker` is who says it as the agent; empty: the operator if there is one.

    `operator` is the person who says it; empty: a backend, which says it for whom it may.
    """

    id: str
    role: str
    content: str
    speaker: str = ""
    operator: str = ""


@dataclass(frozen=True, slots=True)
class Emit:
    """Send every page the event `relay.<name>`."""

    id: str
    name: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TakeOver:
    """Let `operator` speak instead of the agent, or renew the lease of the one who does."""

    id: str
    operator: str


@dataclass(frozen=True, slots=True)
class HandBack:
    """Let the agent speak again, and tell it `summary`; without one, what was said.

    Without an `operator` it is the one that has taken over.
    """

    id: str
    summary: str = ""
    operator: str = ""


@dataclass(frozen=True, slots=True)
class Finish:
    """End the conversation by the close code `code`, with a sentence for the page."""

    id: str
    code: int = ENDED.code
    message: str = ""

    @property
    def is_plain(self) -> bool:
        """Whether it says no more than that the conversation is to end."""
        return not self.message and self.code == ENDED.code

    @property
    def reason(self) -> CloseReason:
        """The close code's meaning; an unknown code is a normal end."""
        return END_REASONS.get(self.code, ENDED)


@dataclass(frozen=True, slots=True)
class Decide:
    """Let the tool call `call_id` run, or not, as the operator `by` says."""

    id: str
    call_id: str
    approve: bool
    by: str


Command = Say | Emit | TakeOver | HandBack | Finish | Decide

_JSON: Final[TaggedJson[Command]] = TaggedJson(
    "do",
    {
        "message": Say,
        "event": Emit,
        "takeover": TakeOver,
        "handback": HandBack,
        "end": Finish,
        "approval": Decide,
    },
    {"data": dict, "code": int, "approve": bool},
)


def name_of(command: Command) -> str:
    """The action's name in metrics: one of a closed set."""
    return _JSON.name_of(command)


def to_json(command: Command) -> dict[str, Any]:
    """Write a command as a JSON object."""
    return _JSON.write(command)


def from_json(document: Mapping[str, Any]) -> Command | None:
    """Read a command; None if it is none that this release knows."""
    return _JSON.read(document)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command came to: an HTTP status, and a body or what a problem says."""

    status: int
    body: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_refusal(self) -> bool:
        """Whether nothing was done."""
        return self.status >= 400  # noqa: PLR2004 - RFC 9110 section 15.5: an error


def refused(status: int, title: str, detail: str, **more: Any) -> Answer:
    """A refusal: its kind, and a sentence for whom asked; `more` are members of the problem."""
    return Answer(status, {"title": title, "detail": detail, **more})


ABSENT: Final = refused(404, "Not Found", "There is no such live session.")
OVER: Final = refused(409, "ended", "The conversation has ended.")
NO_PAGE: Final = refused(
    409, "no_page", "The conversation has no page: it is a call that a backend started."
)
NOT_BEGUN: Final = refused(409, "not_begun", "The conversation has not begun yet.")


def too_much(limit: int, variable: str) -> Answer:
    """A refusal for now: as much waits for the page, or for the vendor, as may."""
    detail = f"As much waits to be sent as may: {limit} bytes ({variable}). Try again."
    return refused(429, "too_much_waiting", detail, member=variable, limit=limit)
