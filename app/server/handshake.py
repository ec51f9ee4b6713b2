"""The one judge of a client's opening handshake (RFC 6455 §4.2.1)."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from websockets.utils import accept_key

from app.server.request_head import MalformedHead, has_body

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Sixteen bytes in base64.
_KEY: Final = re.compile(rb"[A-Za-z0-9+/]{22}==")
_VERSION: Final = b"13"
_UPGRADE: Final = (b"Upgrade", b"websocket")


def wants_websocket(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Tell whether `Connection` has `upgrade`, and `Upgrade` has `websocket`, in any place.

    Several lines of one name are one list, and its order means nothing (RFC 9110 §5.3, §7.8).
    """
    connection: set[bytes] = set()
    upgrade: set[bytes] = set()
    for name, value in headers:
        if name == b"connection":
            connection.update(_tokens(value))
        elif name == b"upgrade":
            upgrade.update(_tokens(value))
    return b"upgrade" in connection and b"websocket" in upgrade


def judge(method: str, version: str, headers: Sequence[tuple[bytes, bytes]]) -> str:
    """Give the value of `Sec-WebSocket-Accept`. Raises `MalformedHead`.

    The head has passed `check_head`, which judges its Host too.
    """
    if has_body(headers):  # it would be taken for frames
        raise MalformedHead(HTTPStatus.BAD_REQUEST, "A WebSocket's handshake has no body.")
    if method != "GET":
        raise MalformedHead(
            HTTPStatus.METHOD_NOT_ALLOWED, "A WebSocket is opened by GET.", [(b"Allow", b"GET")]
        )
    if version != "1.1":
        raise MalformedHead(
            HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "A WebSocket is opened by HTTP/1.1."
        )
    if not wants_websocket(headers):
        raise MalformedHead(
            HTTPStatus.UPGRADE_REQUIRED,
            "A WebSocket is asked for by Connection: Upgrade and Upgrade: websocket.",
            [_UPGRADE],
        )
    keys = [value for name, value in headers if name == b"sec-websocket-key"]
    if len(keys) != 1 or not _KEY.fullmatch(keys[0]):
        raise MalformedHead(
            HTTPStatus.BAD_REQUEST, "A handshake has one Sec-WebSocket-Key: 16 bytes in base64."
        )
    _check_version([value for name, value in headers if name == b"sec-websocket-version"])
    if sum(name == b"origin" for name, _ in headers) > 1:  # RFC 6454 §7.3
        raise MalformedHead(HTTPStatus.BAD_REQUEST, "A handshake has at most one Origin.")
    return accept_key(keys[0].decode())


def _check_version(versions: list[bytes]) -> None:
    if len(versions) != 1:
        raise MalformedHead(HTTPStatus.BAD_REQUEST, "A handshake has one Sec-WebSocket-Version.")
    if versions[0] != _VERSION:  # the client is told which is spoken here (RFC 6455 §4.4)
        raise MalformedHead(
            HTTPStatus.UPGRADE_REQUIRED,
            "Sec-WebSocket-Version 13 is spoken here, and no other.",
            [_UPGRADE, (b"Sec-WebSocket-Version", _VERSION)],
        )


def _tokens(value: bytes) -> Iterable[bytes]:
    return (token.strip(b" \t").lower() for token in value.split(b","))
