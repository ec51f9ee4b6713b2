"""Every close code this gateway sends, its meaning, and whether to try again.

The text of a reason is a constant: nothing that a peer said is ever echoed in it.
RFC 6455 §7.4 leaves 4000-4999 to applications and bounds a reason to 123 bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Retry(StrEnum):
    """What a browser should do after a close."""

    NO = "no"
    RECONNECT = "reconnect"
    RESUME = "resume"


@dataclass(frozen=True, slots=True)
class CloseReason:
    """Why a browser's socket ends.

    `name` is what metrics and logs call it, `message` the sentence that a page may show,
    `http` the status for clients that are refused before the upgrade.
    """

    code: int
    name: str
    message: str
    retry: Retry = Retry.NO
    http: int = 400
    retry_after: bool = False


ENDED: Final = CloseReason(1000, "ended", "The conversation has ended.", http=200)
DRAINING: Final = CloseReason(
    1001, "draining", "This server is being replaced. Please reconnect.", Retry.RECONNECT, 503
)
NOT_UTF8: Final = CloseReason(1007, "not_utf8", "A message was not valid UTF-8.")
FRAME_TOO_LARGE: Final = CloseReason(1009, "frame_too_large", "A message was too large.", http=413)
CRASHED: Final = CloseReason(
    1011, "internal_error", "Something went wrong on our side.", Retry.RECONNECT, 500
)
BAD_FRAMES: Final = CloseReason(4400, "bad_frames", "Too many messages could not be read.")
UNAUTHENTICATED: Final = CloseReason(
    4401, "unauthenticated", "The credential is missing, invalid, expired or used.", http=401
)
FORBIDDEN: Final = CloseReason(4403, "forbidden", "This is not allowed here.", http=403)
NO_SUCH_AGENT: Final = CloseReason(4404, "no_such_agent", "There is no such agent.", http=404)
IDLE: Final = CloseReason(4408, "idle", "Nothing was said for too long.", Retry.RECONNECT, 408)
RESUMED_ELSEWHERE: Final = CloseReason(
    4409, "resumed_elsewhere", "The conversation goes on in another window.", http=409
)
CANNOT_RESUME: Final = CloseReason(
    4410,
    "cannot_resume",
    "The conversation cannot be resumed. Please start anew.",
    Retry.RECONNECT,
    410,
)
TOO_MANY: Final = CloseReason(
    4429, "too_many", "Too many messages or conversations.", Retry.RECONNECT, 429, retry_after=True
)
MAX_DURATION: Final = CloseReason(
    4440, "max_duration", "The conversation has reached its longest duration."
)
UPSTREAM_FAILED: Final = CloseReason(
    4502, "upstream_failed", "The agent could not be reached.", Retry.RECONNECT, 502
)
OVERLOADED: Final = CloseReason(
    4503,
    "overloaded",
    "The service is busy. Please try again soon.",
    Retry.RECONNECT,
    503,
    retry_after=True,
)
UPSTREAM_TIMEOUT: Final = CloseReason(
    4504, "upstream_timeout", "The agent did not answer in time.", Retry.RECONNECT, 504
)
TOO_SLOW: Final = CloseReason(4508, "too_slow", "Messages are read too slowly.", Retry.RESUME, 508)

CLOSE_REASONS: Final = (
    ENDED,
    DRAINING,
    NOT_UTF8,
    FRAME_TOO_LARGE,
    CRASHED,
    BAD_FRAMES,
    UNAUTHENTICATED,
    FORBIDDEN,
    NO_SUCH_AGENT,
    IDLE,
    RESUMED_ELSEWHERE,
    CANNOT_RESUME,
    TOO_MANY,
    MAX_DURATION,
    UPSTREAM_FAILED,
    OVERLOADED,
    UPSTREAM_TIMEOUT,
    TOO_SLOW,
)
