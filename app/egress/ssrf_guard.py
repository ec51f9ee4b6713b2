"""An httpx client with SSRF protection: every address is checked before it connects."""

from __future__ import annotations

from contextlib import contextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, Final

import httpcore
import httpx

from app.egress.backend import GuardedBackend
from app.egress.causes import CertificateRefused, is_certificate_error
from app.egress.connection import EndedUnanswered
from app.network import DIRECT, Proxies, Resolve, system_resolve

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterable, AsyncIterator, Iterator, Mapping

    from app.egress.addresses import AllowedHosts

USER_AGENT: Final = "blackbox-relay"
REPEATABLE: Final = frozenset({"GET", "HEAD"})
BODY: Final = frozenset({"content-length", "transfer-encoding"})


def guarded_client(
    allowed: AllowedHosts,
    *,
    timeout: float,
    headers: Mapping[str, str] | None = None,
    max_connections: int = 100,
    verify: ssl.SSLContext | None = None,
    resolve: Resolve = system_resolve,
    proxies: Proxies = DIRECT,
) -> httpx.AsyncClient:
    """Make a client that connects only to addresses that were checked, under the name's TLS.

    It follows no redirects, uses no proxy but those of `proxies`, keeps no cookies (one client
    serves many users) and asks for no compression (a small answer must not unfold into a large
    one). A GET whose kept connection ends unanswered is repeated once on a new one.
    `timeout` is in seconds and holds for each network step; put a deadline around the whole.
    Requests raise EgressRefused beside httpx's own errors.
    """
    return httpx.AsyncClient(
        transport=guarded_transport(
            allowed,
            max_connections=max_connections,
            verify=verify,
            resolve=resolve,
            proxies=proxies,
        ),
        timeout=timeout,
        headers={"user-agent": USER_AGENT, "accept-encoding": "identity", **(headers or {})},
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        follow_redirects=False,
        trust_env=False,
    )


def guarded_transport(
    allowed: AllowedHosts,
    *,
    max_connections: int = 100,
    verify: ssl.SSLContext | None = None,
    resolve: Resolve = system_resolve,
    proxies: Proxies = DIRECT,
) -> httpx.AsyncBaseTransport:
    """Make what `guarded_client` sends by, alone."""
    context = verify or httpx.create_ssl_context()
    plain, secure = (
        _Pools(
            GuardedBackend(allowed, resolve, proxies, secure=is_secure), context, max_connections
        )
        for is_secure in (False, True)
    )
    return _GuardedTransport(plain, secure)


class _Pools:
    """Connections by one backend: those that are kept, and those that serve one request."""

    def __init__(self, backend: GuardedBackend, context: ssl.SSLContext, connections: int) -> None:
        self.backend = backend
        self.kept, self.single = (
            httpcore.AsyncConnectionPool(
                ssl_context=context,
                max_connections=connections,
                max_keepalive_connections=keep,
                keepalive_expiry=20.0,
                network_backend=backend,
            )
            for keep in (connections, 0)
        )


class _GuardedTransport(httpx.AsyncBaseTransport):
    """httpx on pools of httpcore's, which lets one choose how connections are made."""

    def __init__(self, plain: _Pools, secure: _Pools) -> None:
        self._plain = plain
        self._secure = secure

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not isinstance(request.stream, httpx.AsyncByteStream):
            raise TypeError("an asynchronous request body is needed")
        pools = self._secure if request.url.scheme == "https" else self._plain
        asked = _asked(request, pools.backend)
        with _translated(request):
            try:
                answer = await pools.kept.handle_async_request(asked)
            except EndedUnanswered:
                # RFC 9110 §9.2.2: a request that changes nothing may be repeated, once.
                if request.method not in REPEATABLE or BODY & request.headers.keys():
                    raise
                answer = await pools.single.handle_async_request(asked)
        if not hasattr(answer.stream, "__aiter__"):
            raise TypeError("an asynchronous response body is needed")
        return httpx.Response(
            answer.status,
            headers=answer.headers,
            stream=_Body(answer.stream, request),
            extensions=answer.extensions,
        )

    async def aclose(self) -> None:
        for pools in (self._plain, self._secure):
            await pools.kept.aclose()
            await pools.single.aclose()


def _asked(request: httpx.Request, backend: GuardedBackend) -> httpcore.Request:
    """Write a request for httpcore; the whole URL is its target where a proxy forwards it."""
    url = request.url
    target, headers = url.raw_path, list(request.headers.raw)
    proxy = backend.forwarding(url.host, url.port or 80) if url.scheme == "http" else None
    if proxy is not None:
        target = b"http://" + url.netloc + target
        if proxy.authorization is not None:
            value = proxy.authorization.get_secret_value().encode()
            headers.append((b"Proxy-Authorization", value))
    return httpcore.Request(
        method=request.method,
        url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=target),
        headers=headers,
        content=request.stream,
        extensions=request.extensions,
    )


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
        httpcore.ProxyError,
        httpcore.UnsupportedProtocol,
    ) as error:
        kind = "RemoteProtocolError" if isinstance(error, EndedUnanswered) else type(error).__name__
        if is_certificate_error(error):
            raise CertificateRefused(kind, request=request) from None
        known = getattr(httpx, kind, httpx.TransportError)
        raise known(kind, request=request) from None
