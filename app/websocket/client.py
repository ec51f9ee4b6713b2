"""Dialling upstream: the handshake by `websockets`, then the same data phase as the browsers'."""

from __future__ import annotations

import asyncio
import logging
import ssl as tls
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

from pydantic import SecretStr
from typing_extensions import override
from websockets.client import ClientProtocol
from websockets.http11 import Response
from websockets.streams import StreamReader
from websockets.uri import WebSocketURI
from websockets.utils import accept_key, generate_key

from app.network import (
    DIRECT,
    Proxies,
    Resolve,
    TunnelRefused,
    open_tunnel,
    system_resolve,
    way_to,
)
from app.protocol.errors import RelayError
from app.websocket.client_connection import ClientConnection
from app.websocket.io_batcher import IoBatcher

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from app.websocket.limits import WireLimits

_HEAD_END: Final = b"\r\n\r\n"
_MAX_HEAD: Final = 16 * 1024
_SWITCHING: Final = 101
# Answers of one peer that differ: by its replicas, and by the time that some of them name.
_MAX_KNOWN: Final = 16


class DialFailure(StrEnum):
    """Why there is no connection; the closed set behind a metric's label."""

    REFUSED = "refused"
    REDIRECTED = "redirected"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    TLS = "tls"
    PROXY = "proxy"
    BAD_HANDSHAKE = "bad_handshake"
    BAD_URL = "bad_url"


class DialError(RelayError):
    """Upstream could not be dialled. `status` is its HTTP status where it gave one.

    Neither the message nor anything chained to it holds the URL: its query is the credential.
    """

    def __init__(self, kind: DialFailure, status: int | None = None) -> None:
        super().__init__(f"{kind.value} ({status})" if status else kind.value)
        self.kind = kind
        self.status = status


class DialTarget:
    """A URL to dial, taken apart once: `websockets` makes its request, and judges every answer.

    Raises DialError if it is none. No redirect is followed, no compression and no subprotocol
    asked for, no Origin sent. An answer that is, byte for byte but for the accepted key, one that
    was found right before needs no second parsing.
    """

    __slots__ = ("_after", "_before", "_known", "_protocol", "uri")

    def __init__(self, url: SecretStr | str) -> None:
        uri = _parse(url.get_secret_value() if isinstance(url, SecretStr) else url)
        if uri is None:
            raise DialError(DialFailure.BAD_URL)
        self.uri = uri
        self._protocol = ClientProtocol(uri, logger=_quiet_logger())
        request = self._protocol.connect().serialize()
        self._before, _, self._after = request.partition(self._protocol.key.encode())
        self._known: set[tuple[bytes, bytes]] = set()

    def request(self, key: str) -> bytes:
        """Make the request (RFC 6455 §4.1) with a key of its own."""
        return b"".join((self._before, key.encode(), self._after))

    def check_response(self, head: bytes, key: str) -> None:
        """Judge the answer to a key. Raises DialError."""
        status = _status(head)
        if status != _SWITCHING:
            raise _refusal(status)
        before, accepted, after = head.partition(accept_key(key).encode())
        if accepted and (before, after) in self._known:
            return
        reader = StreamReader()
        reader.feed_data(head)
        reader.feed_eof()
        try:
            parsing = Response.parse(reader.read_line, reader.read_exact, reader.read_to_eof)
            response = _returned(parsing)
            self._protocol.key = key
            self._protocol.process_response(response)
            sound = True
        except Exception:  # noqa: BLE001 - foreign code, whose errors quote what it read
            sound = False
        if not sound:
            raise DialError(DialFailure.BAD_HANDSHAKE)
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        self._known.add((before, after))


async def dial(
    to: DialTarget | SecretStr | str,
    *,
    limits: WireLimits,
    timeout: float,  # noqa: ASYNC109 - the deadline is part of the port
    ssl: tls.SSLContext | None = None,
    batcher: IoBatcher | None = None,
    proxies: Proxies = DIRECT,
    resolve: Resolve = system_resolve,
) -> ClientConnection:
    """Open a WebSocket within `timeout` seconds: TCP, TLS and handshake together.

    The addresses of the host are raced (RFC 8305); where `proxies` name one for it, that one is
    asked for a tunnel, by the host's name. No redirect is followed. TLS is verified by `ssl`, or
    by the system's authorities where none is given; give one: to make it takes milliseconds each
    time. `batcher` should be the process's own; a `DialTarget` should be kept by who dials often.

    Raises DialError.
    """
    destination = to if isinstance(to, DialTarget) else DialTarget(to)
    uri = destination.uri
    context = (ssl or tls.create_default_context()) if uri.secure else None
    handshake = _Handshake(destination)
    failure: DialFailure
    status: int | None = None
    # The error is raised outside of `except`: nothing foreign may be chained to it.
    try:
        async with asyncio.timeout(timeout):
            way = await _way(uri, proxies, resolve)
            await asyncio.get_running_loop().create_connection(
                lambda: handshake,
                **way,
                ssl=context,
                server_hostname=uri.host if context else None,
            )
            return await handshake.finish(
                lambda transport, early: ClientConnection(
                    transport, limits, batcher or IoBatcher(), early
                )
            )
    except DialError:
        raise
    except TimeoutError:
        failure = DialFailure.TIMEOUT
    except tls.SSLError:
        failure = DialFailure.TLS
    except TunnelRefused as refused:
        failure, status = DialFailure.PROXY, refused.status
    except (OSError, UnicodeError):
        failure = DialFailure.UNREACHABLE
    finally:
        handshake.abandon()
    raise DialError(failure, status)


async def _way(uri: WebSocketURI, proxies: Proxies, resolve: Resolve) -> dict[str, Any]:
    """Return where a URL's host is reached, directly or through a proxy."""
    proxy = proxies.to_websocket(uri.host, uri.port, secure=uri.secure)
    if proxy is None:
        return await way_to(uri.host, uri.port, resolve=resolve)
    return {"sock": await open_tunnel(proxy, uri.host, uri.port, resolve=resolve)}


class _Handshake(asyncio.Protocol):
    """One opening handshake (RFC 6455 §4.1) on a transport."""

    def __init__(self, destination: DialTarget) -> None:
        self._destination = destination
        self._key = generate_key()
        self._transport: asyncio.Transport | None = None
        self._head = b""
        self._answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # TCP gives one that both reads and writes; uvloop's is not a subclass of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._destination.request(self._key))

    @override
    def data_received(self, data: bytes) -> None:
        if self._answer.done():
            # Frames right behind the answer, in a read of their own.
            self._head += data
            self._pause()
            return
        self._head += data
        if _HEAD_END in self._head:
            self._pause()
            self._answer.set_result(b"")
        elif len(self._head) > _MAX_HEAD:
            self._answer.set_exception(DialError(DialFailure.BAD_HANDSHAKE))

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if not self._answer.done():
            self._answer.set_exception(DialError(DialFailure.BAD_HANDSHAKE))

    async def finish(
        self, connect: Callable[[asyncio.Transport, bytes], ClientConnection]
    ) -> ClientConnection:
        """Wait for the answer, judge it, and put the data phase in this one's place."""
        await self._answer
        transport = self._transport
        if transport is None:
            raise DialError(DialFailure.BAD_HANDSHAKE)
        head, _, early = self._head.partition(_HEAD_END)
        self._destination.check_response(head + _HEAD_END, self._key)
        connection = connect(transport, early)
        transport.set_protocol(cast("asyncio.Protocol", connection))
        self._transport = None
        return connection

    def abandon(self) -> None:
        """Drop the connection, unless it has been handed over."""
        self._answer.cancel()
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    def _pause(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()


def _returned(parsing: Generator[None, None, Response]) -> Response:
    """Run a parser that has all its input."""
    try:
        next(parsing)
    except StopIteration as end:
        response: Response = end.value
        return response
    raise EOFError


def _status(head: bytes) -> int:
    """Read the status line alone; `websockets` would wait for a refusal's whole body."""
    words = head.split(b"\r\n", 1)[0].split(b" ", 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():  # noqa: PLR2004
        return 0
    return int(words[1][:4])


def _refusal(status: int) -> DialError:
    if 300 <= status < 400:  # noqa: PLR2004
        return DialError(DialFailure.REDIRECTED, status)
    if 400 <= status < 600:  # noqa: PLR2004
        return DialError(DialFailure.REFUSED, status)
    return DialError(DialFailure.BAD_HANDSHAKE)


def _parse(url: str) -> WebSocketURI | None:
    """Take a URL apart without an exception that quotes it."""
    if not url.isascii() or any(character <= " " or character == "\x7f" for character in url):
        return None  # it goes into a request line as it is
    try:
        parts = urlsplit(url)
        port = parts.port
        host = parts.hostname
    except ValueError:
        return None
    if parts.scheme not in ("ws", "wss") or not host or parts.fragment:
        return None
    secure = parts.scheme == "wss"
    return WebSocketURI(
        secure, host, port or (443 if secure else 80), parts.path or "/", parts.query
    )


def _quiet_logger() -> logging.Logger:
    """Give a logger that says nothing: `websockets` logs the request line, key and all."""
    logger = logging.Logger("websockets.client", logging.CRITICAL + 1)  # noqa: LOG001
    logger.disabled = True
    return logger
