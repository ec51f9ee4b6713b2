"""How HTTP connections begin: to checked addresses, raced, through a proxy where there is one."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import httpcore

from app.egress.connection import Connection
from app.egress.resolve import checked_addresses
from app.network import TunnelRefused, interleaved, race
from app.network.names import is_literal
from app.network.tunnel import connect_request, judge

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from app.egress.addresses import AllowedHosts
    from app.network import Proxies, Proxy, Resolve

DNS_TIMEOUT: Final = 5.0


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Resolves and checks, then connects to the checked address.

    The pool above still knows the name: Host, SNI and the certificate's check stay the name's.

    Through a proxy the same holds: the name is resolved and checked here, and the tunnel asked for
    to the checked address. Where the operator named the host itself, as an endpoint of the gateway
    or among the allowed hosts, the proxy is asked by name, and resolves it: many networks know
    names beyond them at their proxy alone. `secure` says which proxy counts.
    """

    def __init__(
        self, allowed: AllowedHosts, resolve: Resolve, proxies: Proxies, *, secure: bool
    ) -> None:
        self._allowed = allowed
        self._resolve = resolve
        self._proxies = proxies
        self._secure = secure
        self._network = httpcore.AnyIOBackend()

    def forwarding(self, host: str, port: int) -> Proxy | None:
        """Return the proxy that takes a request as it is (RFC 9112 §3.2.2), without a tunnel.

        That is so for what is not encrypted and may be asked for by name; else None.
        """
        if self._secure or not self._is_by_name(host):
            return None
        return self._proxies.to(host, port, secure=False)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,  # noqa: ARG002
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002
    ) -> httpcore.AsyncNetworkStream:
        """Connect within `timeout` seconds; raises EgressRefused beside httpcore's own errors."""
        proxy = self._proxies.to(host, port, secure=self._secure)
        if proxy is not None and self._is_by_name(host):
            addresses: Sequence[str] = (host,)
        else:
            addresses = await self._checked(host, port, timeout)
        try:
            async with asyncio.timeout(timeout):
                if proxy is None:
                    return Connection(await self._raced(addresses, port))
                return Connection(await self._through(proxy, addresses, port))
        except TimeoutError:
            raise httpcore.ConnectTimeout("no address answered in time") from None
        except TunnelRefused as refused:
            raise httpcore.ProxyError(str(refused)) from None

    async def connect_unix_socket(
        self,
        path: str,  # noqa: ARG002
        timeout: float | None = None,  # noqa: ASYNC109, ARG002
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002
    ) -> httpcore.AsyncNetworkStream:
        """Refuse: no URL names one."""
        raise httpcore.UnsupportedProtocol("no Unix sockets here")

    async def sleep(self, seconds: float) -> None:
        """Wait, as the pool asks for it."""
        await asyncio.sleep(seconds)

    def _is_by_name(self, host: str) -> bool:
        """Tell whether a proxy may be asked by a host's name. Addresses are always checked here."""
        return not is_literal(host) and self._allowed.names(host)

    async def _checked(self, host: str, port: int, timeout: float | None) -> Sequence[str]:  # noqa: ASYNC109
        try:
            async with asyncio.timeout(min(timeout or DNS_TIMEOUT, DNS_TIMEOUT)):
                return await checked_addresses(self._allowed, self._resolve, host, port)
        except TimeoutError:
            raise httpcore.ConnectTimeout("the host's name was not resolved in time") from None
        except (OSError, UnicodeError):
            raise httpcore.ConnectError("the host's name was not resolved") from None

    async def _raced(self, addresses: Sequence[str], port: int) -> httpcore.AsyncNetworkStream:
        attempts = [
            partial(self._network.connect_tcp, address, port) for address in interleaved(addresses)
        ]
        return await race(attempts, discard=_close)

    async def _through(
        self, proxy: Proxy, hosts: Sequence[str], port: int
    ) -> httpcore.AsyncNetworkStream:
        """Connect to a proxy and, unless it forwards requests, ask it for a tunnel."""
        try:
            addresses = await self._resolve(proxy.host, proxy.port)
        except (OSError, UnicodeError):
            addresses = ()
        if not addresses:
            raise TunnelRefused(proxy)
        if self.forwarding(hosts[0], port) is not None:
            return await self._to_proxy(proxy, addresses)
        attempts = [partial(self._tunnel, proxy, addresses, host, port) for host in hosts]
        return await race(attempts, discard=_close)

    async def _to_proxy(
        self, proxy: Proxy, addresses: Sequence[str]
    ) -> httpcore.AsyncNetworkStream:
        try:
            return await self._raced(addresses, proxy.port)
        except (httpcore.ConnectError, httpcore.ConnectTimeout):
            raise TunnelRefused(proxy) from None

    async def _tunnel(
        self, proxy: Proxy, addresses: Sequence[str], host: str, port: int
    ) -> httpcore.AsyncNetworkStream:
        stream = await self._to_proxy(proxy, addresses)
        try:
            await stream.write(connect_request(host, port, proxy))
            answer = b""
            while not judge(answer, proxy):
                received = await stream.read(4096)
                if not received:
                    raise TunnelRefused(proxy)  # noqa: TRY301 - one place closes the stream
                answer += received
        except (httpcore.NetworkError, httpcore.TimeoutException):
            await stream.aclose()
            raise TunnelRefused(proxy) from None
        except BaseException:
            await stream.aclose()
            raise
        return stream


async def _close(stream: httpcore.AsyncNetworkStream) -> None:
    await stream.aclose()
