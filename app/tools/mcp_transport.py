"""The gateway's guarded HTTP (addresses, proxies, TLS) for the MCP SDK's own HTTP library."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
import httpx2

from app.egress import AllowedHosts, Resolve, guarded_transport
from app.network import DIRECT, Proxies

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Iterator


@dataclass(frozen=True, slots=True)
class Reach:
    """Whom TLS trusts, and which proxies stand in between, as for every client of the process."""

    verify: ssl.SSLContext | None = None
    proxies: Proxies = DIRECT


@dataclass(frozen=True, slots=True)
class Way:
    """How servers are reached over HTTP: at which addresses, and by what."""

    allowed: AllowedHosts
    resolve: Resolve
    reach: Reach

    def to(self, host: str) -> Guarded:
        """Return a transport to a server that the operator named."""
        return Guarded(
            guarded_transport(
                self.allowed.allowing(host),
                verify=self.reach.verify,
                resolve=self.resolve,
                proxies=self.reach.proxies,
            )
        )


class Guarded(httpx2.AsyncBaseTransport):
    """A transport of httpx in httpx2's shape. Raises EgressRefused beside httpx2's own errors."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request, and return its answer with the body still to be read."""
        if not isinstance(request.stream, httpx2.AsyncByteStream):
            raise TypeError("an asynchronous request body is needed")
        with _translated(request):
            answer = await self._inner.handle_async_request(
                httpx.Request(
                    request.method,
                    str(request.url),
                    headers=request.headers.raw,
                    stream=_Sent(request.stream),
                    extensions=request.extensions,
                )
            )
        return httpx2.Response(
            answer.status_code,
            headers=answer.headers.raw,
            stream=_Received(answer, request),
            extensions=answer.extensions,
        )

    async def aclose(self) -> None:
        """Close every connection."""
        await self._inner.aclose()


class _Sent(httpx.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            yield part


class _Received(httpx2.AsyncByteStream):
    def __init__(self, answer: httpx.Response, request: httpx2.Request) -> None:
        self._answer = answer
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _translated(self._request):
            async for part in self._answer.stream:  # type: ignore[union-attr]
                yield part

    async def aclose(self) -> None:
        await self._answer.aclose()


@contextmanager
def _translated(request: httpx2.Request) -> Iterator[None]:
    """Raise httpx's errors as httpx2's of the same name."""
    try:
        yield
    except httpx.TransportError as error:
        name = type(error).__name__
        known = getattr(httpx2, name, httpx2.TransportError)
        raise known(name, request=request) from error
