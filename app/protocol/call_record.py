"""What is known of a phone call that a backend started, pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_ID: Final = 256
MAX_URL: Final = 2048
FAILED: Final = frozenset({"failed", "failure", "error"})
NORMAL: Final = 1000


class CallStatus(StrEnum):
    """The vendor's words (D)."""

    QUEUED = "Queued"
    RUNNING = "Running"
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELED = "Canceled"


LIVE: Final = frozenset({CallStatus.QUEUED, CallStatus.RUNNING})


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call; times are in Unix seconds. `session_id` is its id at the gateway."""

    session_id: str
    agent: str
    endpoint: str
    created_at: float
    status: CallStatus = CallStatus.QUEUED
    completed_at: float | None = None
    vendor_call_id: str | None = None
    inspector_url: str | None = field(default=None, repr=False)
    recording_url: str | None = field(default=None, repr=False)
    error: str | None = None
    tenant: str | None = None

    @property
    def is_live(self) -> bool:
        """Whether it may still change."""
        return self.status in LIVE


def with_frame(record: CallRecord, frame: Mapping[str, Any], at: float) -> CallRecord:
    """Take what a frame from the vendor, read at `at` (Unix seconds), says of the call.

    A frame that ends the call is its completion, also where the session goes on a while.
    """
    said = _told(record, frame)
    if said.is_live or said.completed_at is not None:
        return said
    return replace(said, completed_at=at)


def _told(record: CallRecord, frame: Mapping[str, Any]) -> CallRecord:
    kind, name = frame.get("type"), frame.get("name")
    if record.status is CallStatus.QUEUED and (kind == "text" or name == "opened"):
        return replace(record, status=CallStatus.RUNNING)
    carried = frame.get("result") if kind == "conversationResult" else frame.get("data")
    said: Mapping[str, Any] = carried if isinstance(carried, dict) else {}
    if kind not in ("event", "conversationResult"):
        return record
    record = with_urls(record, said)
    if kind == "conversationResult":
        # A queued call was never picked up: a result that tells no failure ended it.
        over = CallStatus.CANCELED if record.status is CallStatus.QUEUED else CallStatus.COMPLETED
        failed = str(said.get("status", "")).lower() in FAILED
        status = CallStatus.FAILED if failed else over
        return replace(record, status=status, error=_word(said.get("errorMessage"), MAX_ID))
    if name == "connection":
        found = _word(said.get("recordId"), MAX_ID) or _word(said.get("jobId"), MAX_ID)
        return replace(record, vendor_call_id=record.vendor_call_id or found)
    if name == "failedOpen":
        return replace(record, status=CallStatus.FAILED)
    return record


def with_urls(record: CallRecord, said: Mapping[str, Any]) -> CallRecord:
    """Take the URLs that a part of a frame, or the vendor's REST answer, holds."""
    return replace(
        record,
        inspector_url=record.inspector_url or url_of(said, "inspectorUrl"),
        recording_url=record.recording_url or url_of(said, "recordingUrl"),
    )


def ended(record: CallRecord, at: float, code: int, reason: str) -> CallRecord:
    """Take the end of the session, which knows less than a result of the vendor's."""
    status, error = record.status, record.error
    if status is CallStatus.QUEUED and code == NORMAL:
        status = CallStatus.CANCELED
    elif status in LIVE:
        status = CallStatus.COMPLETED if code == NORMAL else CallStatus.FAILED
        error = error or (None if code == NORMAL else reason)
    completed_at = at if record.completed_at is None else record.completed_at
    return replace(record, status=status, completed_at=completed_at, error=error)


def url_of(said: Mapping[str, Any], name: str) -> str | None:
    """An HTTP URL of bounded length that a member holds."""
    value = _word(said.get(name), MAX_URL)
    return value if value is not None and value.startswith(("https://", "http://")) else None


def _word(value: object, longest: int) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= longest else None
