"""A kept connection that tells when the other side ended it before it answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpcore

if TYPE_CHECKING:
    import ssl


class EndedUnanswered(httpcore.RemoteProtocolError):
    """A connection that had served a request ended before any byte of the answer to the next.

    The server closed it while the request was under way. RFC 9112 §9.3.1 lets a client repeat
    requests with idempotent methods then, on a new connection.
    """


class Connection(httpcore.AsyncNetworkStream):
    """A stream whose reads raise `EndedUnanswered` where that is what happened."""

    def __init__(self, inner: httpcore.AsyncNetworkStream) -> None:
        self._inner = inner
        self._is_reused = False
        self._has_answered = False

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        """Read what has come; empty at the end."""
        try:
            data = await self._inner.read(max_bytes, timeout)
        except httpcore.ReadError:
            if self._is_unanswered:
                raise EndedUnanswered("the connection ended unanswered") from None
            raise
        if data:
            self._has_answered = True
        elif self._is_unanswered:
            raise EndedUnanswered("the connection ended unanswered")
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Send; the first write behind an answer begins the next request."""
        if self._has_answered:
            self._is_reused, self._has_answered = True, False
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        """Close it."""
        await self._inner.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        """Return the same, encrypted."""
        return Connection(await self._inner.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        """Return what the stream knows of itself."""
        return self._inner.get_extra_info(info)

    @property
    def _is_unanswered(self) -> bool:
        return self._is_reused and not self._has_answered
