"""The error tree: whose fault it was, and what the browser may hear of it.

    RelayError
    ├── ConfigurationError     the operator's environment is wrong: every fault at once
    ├── Refusal                this browser may not do this: carries the close reason to show
    ├── PeerError              a peer broke the protocol (theirs, never ours)
    ├── UpstreamError          the vendor refused, failed or fell silent
    ├── StoreUnavailable       the shared store did not answer in time
    │   └── StateReadOnly      it answers, but as a replica that takes no writes
    └── IllegalTransition      our own bug: an event that the current phase does not know

Every other exception of `app` is a child of `RelayError` too, beside the code that raises it; one
that is also a `ValueError` is raised where a library expects that (pydantic). What redis-py must
take for its own is a `RedisError`.

No message of these ever holds a credential, a payload or a URL with a query: what
they say may be logged as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from blackbox_relay.errors import ConfigurationError, RelayError

if TYPE_CHECKING:
    from app.protocol.close_codes import CloseReason

__all__ = [
    "ConfigurationError",
    "IllegalTransition",
    "PeerError",
    "Refusal",
    "RelayError",
    "StoreUnavailable",
    "UpstreamError",
]


class Refusal(RelayError):  # noqa: N818 - the field's word is better than RefusalError
    """A browser is refused. `reason` is the close reason, `message` a sentence to show it."""

    def __init__(
        self, reason: CloseReason, message: str | None = None, *, retry_after: float | None = None
    ) -> None:
        super().__init__(message or reason.message)
        self.reason = reason
        self.message = message or reason.message
        self.retry_after = retry_after


class PeerError(RelayError):
    """A peer broke the protocol. `code` is the close code that RFC 6455 §7.4.1 gives it."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class UpstreamError(RelayError):
    """The vendor refused, failed or fell silent. `reason` says which, for the browser."""

    def __init__(self, reason: CloseReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class StoreUnavailable(RelayError):  # noqa: N818
    """The shared store did not answer in time; what needs it fails closed.

    `advice` says to an operator what is wrong with it, where that is known. It names no secret.
    """

    def __init__(self, message: str, advice: str | None = None) -> None:
        super().__init__(message)
        self.advice = advice


class StateReadOnly(StoreUnavailable):
    """What answers is a read-only replica: it was demoted, or the URL names the wrong one."""


class IllegalTransition(RelayError):  # noqa: N818
    """An event came in a phase that does not know it; nothing was changed."""
