"""A client's opening handshake (RFC 6455 §4.2), validated and answered."""

from __future__ import annotations

import logging
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol
from websockets.utils import accept_key

from app.protocol.errors import RelayError
from app.server.request_head import wants_websocket

if TYPE_CHECKING:
    from collections.abc import Iterable

# Sixteen bytes in base64.
_KEY: Final = re.compile(rb"[A-Za-z0-9+/]{22}==")
_CONNECTION: Final = frozenset((b"upgrade", b"keep-alive, upgrade"))
_DECISIVE: Final = frozenset(
    (
        *(b"connection", b"upgrade", b"origin"),
        *(b"sec-websocket-key", b"sec-websocket-version"),
    )
)
_SWITCHING: Final = 101
_VERSION: Final = b"13"
_ACCEPTED: Final = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: "
)
_BREAK: Final = re.compile(rb"[\x00\r\n]")


class HandshakeRejected(RelayError):  # noqa: N818 - an answer, no error of ours
    """A handshake that is refused; `response` is the answer to it."""

    def __init__(self, response: Response) -> None:
        super().__init__(str(response.status_code))
        self.response = response


def validate(method: str, version: str, url: bytes, headers: list[tuple[bytes, bytes]]) -> str:
    """Give the value of `Sec-WebSocket-Accept`. Raises `HandshakeRejected`.

    Handshakes as every browser sends them take a fast path. All others, and so all refusals,
    are `websockets`' own to judge, which takes many times as long.
    """
    decisive: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _DECISIVE:
            if name in decisive:
                break
            decisive[name] = value
    else:
        key = decisive.get(b"sec-websocket-key", b"")
        if (
            method == "GET"
            and version == "1.1"
            and decisive.get(b"connection", b"").lower() in _CONNECTION
            and decisive.get(b"upgrade", b"").lower() == b"websocket"
            and decisive.get(b"sec-websocket-version") == _VERSION
            and _KEY.fullmatch(key)
        ):
            return accept_key(key.decode())
    return _validate_with_websockets(method, version, url, headers)


def accepted(accept: str, headers: Iterable[tuple[bytes, bytes]], subprotocol: str | None) -> bytes:
    """Make the answer that opens a WebSocket. Raises ValueError for a header of two lines."""
    lines = [_ACCEPTED, accept.encode(), b"\r\n"]
    for name, value in headers:
        if _BREAK.search(value) or _BREAK.search(name):
            raise ValueError("a header's name or value holds a line break")
        lines += (name.lower(), b": ", value, b"\r\n")
    if subprotocol:
        chosen = subprotocol.encode("latin-1")
        if _BREAK.search(chosen):
            raise ValueError("a subprotocol holds a line break")
        lines += (b"Sec-WebSocket-Protocol: ", chosen, b"\r\n")
    lines.append(b"\r\n")
    return b"".join(lines)


def rejected(status: HTTPStatus, text: str = "") -> Response:
    """Make a refusal in plain words."""
    return ServerProtocol(logger=QUIET_LOGGER).reject(status, text)


def _validate_with_websockets(
    method: str, version: str, url: bytes, headers: list[tuple[bytes, bytes]]
) -> str:
    if wants_websocket(headers):
        # `websockets` refuses what is offered besides (RFC 9110 §7.8 lets a server choose).
        headers = [line for line in headers if line[0] != b"upgrade"]
        headers.append((b"upgrade", b"websocket"))
    request = Request(
        url.decode("ascii"),
        Headers([(name.decode(), value.decode("latin-1")) for name, value in headers]),
        method,
        f"HTTP/{version}",
    )
    protocol = ServerProtocol(logger=QUIET_LOGGER)
    protocol.debug = False
    response = protocol.accept(request)
    if response.status_code != _SWITCHING:
        _name_the_version(response, headers)
        raise HandshakeRejected(response)
    return response.headers["Sec-WebSocket-Accept"]


def _name_the_version(response: Response, headers: list[tuple[bytes, bytes]]) -> None:
    """Let a client of another version know which is spoken here (RFC 6455 §4.4)."""
    versions = [value for name, value in headers if name == b"sec-websocket-version"]
    if len(versions) != 1 or versions[0] == _VERSION or not wants_websocket(headers):
        return
    body = b"Sec-WebSocket-Version 13 is spoken here, and no other.\n"
    response.status_code = HTTPStatus.UPGRADE_REQUIRED
    response.reason_phrase = HTTPStatus.UPGRADE_REQUIRED.phrase
    response.body = body
    for name, value in (
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", _VERSION.decode()),
        ("Content-Length", str(len(body))),
    ):
        if name in response.headers:
            del response.headers[name]
        response.headers[name] = value


def _quiet_logger() -> logging.Logger:
    """Give a logger that keeps warnings and drops the lines with the request's query.

    uvicorn logs `?ticket=…` at INFO, and websockets every header at DEBUG.
    """
    logger = logging.Logger("uvicorn.error", logging.WARNING)  # noqa: LOG001 - not to be shared
    logger.parent = logging.getLogger("uvicorn.error")
    return logger


QUIET_LOGGER: Final = _quiet_logger()
