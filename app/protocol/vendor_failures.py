"""How the vendor says that a conversation cannot be: its close code, and advice for operators.

Known are the texts of its `error` frames (D L) and its event `failedOpen` (D). Pure: the relay logs
and ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from app.protocol.close_codes import ENDED, FRAME_TOO_LARGE, OVERLOADED, UPSTREAM_FAILED
from app.protocol.frames import ERROR, EVENT, FAILED_OPEN_EVENT
from app.protocol.phases import Phase

if TYPE_CHECKING:
    from collections.abc import Iterable

    from app.protocol.close_codes import CloseReason

NORMAL_CLOSURE: Final = 1000
MAX_SAID: Final = 200
"""Characters of the vendor's own words that a log line holds."""
CAUSES_CLOSE_WITHIN: Final = 5.0
"""Seconds: a socket that ends that soon after an `error` ended because of it."""
_WITHHELD: Final = "(withheld: it holds a credential)"
_WORDS: Final = ("message", "reason", "errorMessage", "error", "description")


@dataclass(frozen=True, slots=True)
class VendorFailure:
    """What the vendor refused. `name` is what logs call it, `reason` how the browser is closed."""

    name: str
    reason: CloseReason
    advice: str


FAILED_OPEN: Final = VendorFailure(
    "failed_open",
    UPSTREAM_FAILED,
    "the vendor could not open the conversation: `said` has its reason; for a phone call look at "
    "the number and the agent's outbound configuration",
)
UNKNOWN_ERROR: Final = VendorFailure(
    "error", UPSTREAM_FAILED, "the vendor refused the conversation: `said` has its reason"
)
CREDENTIAL: Final = (
    "check RELAY_BLACKBOX_API_KEY (RELAY_UPSTREAM=dev), or RELAY_WEB_INTEGRATION_TOKEN or "
    "RELAY_WEB_INTEGRATION_ID (webcall)"
)
ERRORS: Final = {
    "missing token": VendorFailure("missing_token", UPSTREAM_FAILED, CREDENTIAL),
    "invalid token": VendorFailure("invalid_token", UPSTREAM_FAILED, CREDENTIAL),
    "web integration is not enabled": VendorFailure(
        "not_enabled", UPSTREAM_FAILED, "enable the web integration in the vendor's dashboard"
    ),
    "origin not allowed": VendorFailure(
        "origin_not_allowed",
        UPSTREAM_FAILED,
        "the gateway sends no Origin: remove the list of origins from the vendor's web integration "
        "and set RELAY_ALLOWED_ORIGINS instead",
    ),
    "concurrent limit exceeded": VendorFailure(
        "concurrent_limit",
        OVERLOADED,
        "the vendor account's limit of concurrent conversations is reached: raise it there, or "
        "lower RELAY_MAX_SESSIONS",
    ),
    "too large message": VendorFailure(
        "too_large_message",
        FRAME_TOO_LARGE,
        "a message was larger than the vendor takes: lower RELAY_MAX_FRAME, or shorten what tools "
        "return",
    ),
    "init message not received": VendorFailure(
        "no_initialize",
        UPSTREAM_FAILED,
        "the vendor did not understand `initialize`: check RELAY_UPSTREAM and the agent's template",
    ),
    "multiple init messages received": VendorFailure(
        "second_initialize", UPSTREAM_FAILED, "report this as a fault of the gateway"
    ),
}


def failure_in(frame: dict[str, Any]) -> VendorFailure | None:
    """Return the known failure that an `error` frame tells of, if any."""
    text = _said(frame)
    return None if text is None else ERRORS.get(text.strip().rstrip(".!").lower())


def said_in(frame: dict[str, Any], secrets: Iterable[bytes]) -> str:
    """Return the vendor's own words for a log: one short line, without a credential."""
    text = _said(frame)
    if text is None:
        return ""
    raw = text.encode(errors="replace")
    if any(secret in raw for secret in secrets):
        return _WITHHELD
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= MAX_SAID else f"{line[:MAX_SAID]}…"


class LatestFailure:
    """The vendor's latest known failure in one session: a socket that ends soon after ends of it.

    Times are Unix seconds.
    """

    __slots__ = ("_at", "_failure")

    def __init__(self) -> None:
        self._failure: VendorFailure | None = None
        self._at = 0.0

    def note(self, kind: str, frame: dict[str, Any], now: float) -> VendorFailure | None:
        """Return what the vendor failed at by this frame, and remember an `error`."""
        if kind == EVENT:
            return FAILED_OPEN if frame.get("name") == FAILED_OPEN_EVENT else None
        if kind != ERROR or (failure := failure_in(frame)) is None:
            return None
        self._failure, self._at = failure, now
        return failure

    def reason_of_loss(self, phase: Phase, code: int, now: float) -> CloseReason:
        """What the loss of the vendor's socket means. After the announced end, 1006 is normal."""
        if self._failure is not None and now - self._at <= CAUSES_CLOSE_WITHIN:
            return ENDED if phase is Phase.CLOSING else self._failure.reason
        if phase is Phase.CLOSING or (phase is Phase.OPEN and code == NORMAL_CLOSURE):
            return ENDED
        return UPSTREAM_FAILED


def advice_on_loss(phase: str, code: int) -> str:
    """Say what an operator can do about a vendor's socket that went before the end was announced.

    `code` is 1006 for one that went without a close frame (RFC 6455 §7.1.5).
    """
    if phase == Phase.INITIALIZING:
        return (
            "the vendor ended before its first frame: check RELAY_UPSTREAM (the wrong endpoint for "
            "the credential ends so), the credential and the agent's template"
        )
    if code == 1007:  # noqa: PLR2004 - RFC 6455 §7.4.1
        return "the vendor could not read a frame: look at what the page or a tool sent last"
    if code == 1009:  # noqa: PLR2004 - RFC 6455 §7.4.1
        return "a frame was larger than the vendor takes: lower RELAY_MAX_FRAME"
    return (
        "the vendor or a proxy on the way to it ended the conversation: if this is frequent, run "
        "`blackbox-relay doctor` and look at the proxy's time-outs"
    )


def _said(frame: dict[str, Any]) -> str | None:
    """Return the first text among those members that may hold a reason."""
    for holder in (frame.get("data"), frame.get("content"), frame):
        if isinstance(holder, str):
            return holder
        if isinstance(holder, dict):
            for word in _WORDS:
                if isinstance(text := holder.get(word), str) and text:
                    return text
    return None
