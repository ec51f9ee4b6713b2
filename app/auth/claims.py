"""From what a JWT, a ticket or a forward-auth answer says to a Principal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from app.auth.origin import normal_origin
from app.protocol.codec import MAX_DEPTH, depth
from app.protocol.errors import RelayError
from app.protocol.principal import CallType, Principal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

MAX_TEXT: Final = 512


class InvalidClaims(RelayError):  # noqa: N818
    """A claim has the wrong type or value. `claim` names it; its value is never repeated."""

    def __init__(self, claim: str) -> None:
        super().__init__(f"the claim {claim} cannot be read")
        self.claim = claim


def principal_from(
    claims: Mapping[str, Any],
    method: str,
    *,
    credential_id: str | None,
    tenant: str | None = None,
) -> Principal:
    """Read verified claims; raises Unreadable. `exp` or `expires_at` is in Unix seconds.

    `tenant` is known from how they were verified, never from the claims.
    """
    subject = _text(claims, "sub", "subject")
    if subject is None:
        raise InvalidClaims("sub")
    origin = _text(claims, "origin")
    if origin is not None and (origin := normal_origin(origin)) is None:
        raise InvalidClaims("origin")
    return Principal(
        subject=subject,
        method=method,
        agent=_text(claims, "agent"),
        call_type=_call_type(_text(claims, "call_type", "callType")),
        endpoint=_text(claims, "endpoint"),
        additional_data=_mapping(claims, "additional_data", "additionalData"),
        origin=origin,
        expires_at=_seconds(claims, "exp", "expires_at", "expiresAt"),
        credential_id=_text(claims, "jti", "credential_id") or credential_id,
        tenant=tenant,
    )


def user_named(names: Sequence[str], values: Callable[[str], list[str]]) -> str | None:
    """Return what the first of these headers that is there holds; None if none is.

    Raises Unreadable for one that is there twice: a service that appends to what a client sent
    would let the client name itself.
    """
    for name in names:
        found = [value.strip() for value in values(name)]
        if not any(found):
            continue
        if len(found) > 1:
            raise InvalidClaims(name)
        return found[0]
    return None


def _first(claims: Mapping[str, Any], names: tuple[str, ...]) -> tuple[str, Any]:
    for name in names:
        value = claims.get(name)
        if value is not None:
            return name, value
    return names[0], None


def _text(claims: Mapping[str, Any], *names: str) -> str | None:
    name, value = _first(claims, names)
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT:
        raise InvalidClaims(name)
    return value


def _call_type(value: str | None) -> CallType | None:
    if value is None:
        return None
    try:
        return CallType(value)
    except ValueError:
        raise InvalidClaims("call_type") from None


def _mapping(claims: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    name, value = _first(claims, names)
    if value is None:
        return {}
    if not isinstance(value, dict) or depth(value) > MAX_DEPTH:
        raise InvalidClaims(name)
    return value


def _seconds(claims: Mapping[str, Any], *names: str) -> float | None:
    name, value = _first(claims, names)
    if value is None:
        return None
    # The bound keeps infinities and dates beyond the year 9999 out of everyone's arithmetic.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 2.5e11:  # noqa: PLR2004
        raise InvalidClaims(name)
    return float(value)
