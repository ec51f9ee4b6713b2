"""An httpx client that cannot be talked into going somewhere else."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import contextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, Final

import httpcore
import httpx

from app.egress.causes import CertificateRefused
from app.egress.resolve import Resolve, checked_addresses, system_resolve

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping

    from app.egress.addresses import AllowedHosts

USER_AGENT: Final = "blackbox-relay"
DNS_TIMEOUT: Final = 5.0


def guarded_client(
    allowed: AllowedHosts,
    *,
    timeout: float,
    headers: Mapping[str, str] | None = None,
    max_connections: int = 100,
    verify: ssl.SSLContext | None = None,
    resolve: Resolve = system_resolve,
) -> httpx.AsyncClient:
    """Make a client that connects only to addresses that were checked, under the name's TLS.

    It follows no redirects, honours no proxy variables, keeps no cookies (one client serves many
    users) and asks for no compression (a small answer must not unfold into a large one).
    `timeout` is in seconds and holds for each network step; put a deadline around the whole.
    Requests raise EgressRefused beside httpx's own errors.
    """
    return httpx.AsyncClient(
        transport=_GuardedTransport(
            _GuardedBackend(allowed, resolve), verify or httpx.create_ssl_context(), max_connections
        ),
        timeout=timeout,
        headers={"user-agent": USER_AGENT, "accept-encoding": "identity", **(headers or {})},
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        follow_redirects=False,
        trust_env=False,
    )


class _GuardedBackend(httpcore.AsyncNetworkBackend):
    """Resolves and checks, then connects to the checked address.

    The pool above still knows the name: Host, SNI and the certificate's check stay the name's.
    """

    def __init__(self, allowed: AllowedHosts, resolve: Resolve) -> None:
        self._allowed = allowed
        self._resolve = resolve
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            async with asyncio.timeout(min(timeout or DNS_TIMEOUT, DNS_TIMEOUT)):
                addresses = await checked_addresses(self._allowed, self._resolve, host, port)
        except TimeoutError:
            raise httpcore.ConnectTimeout("the host's name was not resolved in time") from None
        except (OSError, UnicodeError):
            raise httpcore.ConnectError("the host's name was not resolved") from None
        share = None if timeout is None else timeout / len(addresses)
        for address in addresses[:-1]:
            try:
                return await self._network.connect_tcp(
                    address, port, share, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._network.connect_tcp(
            addresses[-1], port, share, local_address, socket_options
        )

    async def connect_unix_socket(
        self,
        path: str,  # noqa: ARG002
        timeout: float | None = None,  # noqa: ASYNC109, ARG002
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002
    ) -> httpcore.AsyncNetworkStream:
        raise httpcore.UnsupportedProtocol("no Unix sockets here")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _GuardedTransport(httpx.AsyncBaseTransport):
    """httpx on a pool of httpcore's, which lets one choose how connections are made."""

    def __init__(
        self, backend: httpcore.AsyncNetworkBackend, context: ssl.SSLContext, connections: int
    ) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=20.0,
            network_backend=backend,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not isinstance(request.stream, httpx.AsyncByteStream):
            raise TypeError("an asynchronous request body is needed")
        with _translated(request):
            answer = await self._pool.handle_async_request(
                httpcore.Request(
                    method=request.method,
                    url=httpcore.URL(
                        scheme=request.url.raw_scheme,
                        host=request.url.raw_host,
                        port=request.url.port,
                        target=request.url.raw_path,
                    ),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        if not hasattr(answer.stream, "__aiter__"):
            raise TypeError("an asynchronous response body is needed")
        return httpx.Response(
            answer.status,
            headers=answer.headers,
            stream=_Body(answer.stream, request),
            extensions=answer.extensions,
        )

    async def aclose(self) -> None:
        await self._pool.aclose()


class _Body(httpx.AsyncByteStream):
    def __init__(self, stream: Any, request: httpx.Request) -> None:
        self._stream: AsyncIterable[bytes] = stream
        self._request = request
        self._close = stream.aclose

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _translated(self._request):
            async for part in self._stream:
                yield part

    async def aclose(self) -> None:
        await self._close()


@contextmanager
def _translated(request: httpx.Request) -> Iterator[None]:
    """Raise httpcore's errors as httpx's of the same name, without text that may hold a URL."""
    try:
        yield
    except (
        httpcore.TimeoutException,
        httpcore.NetworkError,
        httpcore.ProtocolError,
        httpcore.UnsupportedProtocol,
    ) as error:
        kind = type(error).__name__
        if _is_certificate(error):
            raise CertificateRefused(kind, request=request) from None
        known = getattr(httpx, kind, httpx.TransportError)
        raise known(kind, request=request) from None


def _is_certificate(error: BaseException) -> bool:
    """Tell whether a peer's certificate is at the bottom of an error."""
    cause: BaseException | None = error
    for _ in range(8):
        if cause is None or isinstance(cause, ssl.SSLCertVerificationError):
            break
        cause = cause.__cause__ or cause.__context__
    return isinstance(cause, ssl.SSLCertVerificationError)
