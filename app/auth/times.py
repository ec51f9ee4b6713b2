"""When a JWT is good: `exp`, `nbf` and `iat` against this machine's clock (RFC 7519 §4.1), pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from app.auth.claims import InvalidClaims
from app.protocol.errors import RelayError

if TYPE_CHECKING:
    from collections.abc import Mapping

LEEWAY: Final = 5.0
"""Seconds that an issuer's clock may be ahead. `exp` has none: a session would end at once."""

FAR: Final = 2.5e11


class Untimely(RelayError):  # noqa: N818
    """A token is not good now.

    `cause` is `expired` or `clock_skew`, `claim` the one that says so, `seconds` by how much. The
    message is a sentence for the browser.
    """

    def __init__(self, cause: str, claim: str, seconds: float, message: str) -> None:
        super().__init__(message)
        self.cause = cause
        self.claim = claim
        self.seconds = seconds


def check_times(claims: Mapping[str, Any], now: float) -> None:
    """Check a verified token's times at `now`, in Unix seconds; raises Untimely or Unreadable."""
    for claim in ("iat", "nbf"):
        begins = _seconds(claims, claim)
        if begins is not None and begins - now > LEEWAY:
            ahead = begins - now
            raise Untimely(
                "clock_skew",
                claim,
                ahead,
                f"The credential begins {ahead:.0f} s from now: "
                "the clock of its issuer or of this service is wrong.",
            )
    expires = _seconds(claims, "exp")
    if expires is not None and expires <= now:
        raise Untimely("expired", "exp", now - expires, "The credential has expired.")


def _seconds(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    # The bound keeps infinities and what is no number out of the arithmetic.
    if isinstance(value, bool) or not isinstance(value, int | float) or not -FAR < value < FAR:
        raise InvalidClaims(name)
    return float(value)
