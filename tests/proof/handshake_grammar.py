"""Handshakes with accidents, and which of them RFC 6455 §4.2.1 lets a server answer with 101."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Final

import h11

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator


def harmed(dice: random.Random, data: bytes, harms: int) -> bytes:
    """Some bytes with so many accidents: bytes gone, bytes put in, a bit that is another."""
    changed = bytearray(data)
    for _ in range(harms):
        at = dice.randrange(len(changed)) if changed else 0
        what = dice.randrange(8)
        if what == 0:
            del changed[at : at + dice.randrange(1, 9)]
        elif what == 1:
            changed[at:at] = dice.randbytes(dice.randrange(1, 9))
        elif changed:
            changed[at] ^= 1 << dice.randrange(8)
    return bytes(changed)


LINES: Final = (
    *(b"Host: test", b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13"),
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
ODD: Final = (
    *(b"Host: other", b"Host:", b"Connection: close", b"Connection: keep-alive, Upgrade"),
    *(b"Connection: Upgrade-Insecure", b"Upgrade: h2c, websocket", b"Upgrade: websockets"),
    *(b"Upgrade: websocket/13", b"Sec-WebSocket-Version: 8", b"Sec-WebSocket-Version: 13, 8"),
    *(b"Sec-WebSocket-Version: 013", b"Sec-WebSocket-Key: short", b"Sec-WebSocket-Key:"),
    *(b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ"),
    *(b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==, x", b"Content-Length: 5", b"Origin: a"),
    *(b"Transfer-Encoding: chunked", b"Origin: b", b"Sec-WebSocket-Extensions: permessage-deflate"),
    *(b"Sec-WebSocket-Protocol: a, b", b"X: \x00", b" folded", b"X\xff: y", b"Content-Length: 0"),
)
FIRST: Final = (
    *(b"GET /ws HTTP/1.1",) * 12,
    *(b"POST /ws HTTP/1.1", b"GET /ws HTTP/1.0", b"GET /ws HTTP/2.0", b"get /ws HTTP/1.1"),
    *(b"GET  /ws HTTP/1.1", b"GET /ws", b"CONNECT test:80 HTTP/1.1", b"GET * HTTP/1.1"),
)


def handshake(dice: random.Random) -> bytes:
    """One, with none to four accidents."""
    lines = list(LINES)
    for _ in range(dice.choice((0, 1, 1, 1, 2, 2, 3, 4))):
        at = dice.randrange(len(lines))
        match dice.randrange(4):
            case 0:
                del lines[at]
                lines = lines or [b"Host: test"]
            case 1:
                lines[at] = dice.choice(ODD)
            case 2:
                lines.append(dice.choice((*ODD, *LINES)))
            case _:
                lines[at] = harmed(dice, lines[at], dice.randrange(1, 4))
    dice.shuffle(lines)
    return b"\r\n".join((dice.choice(FIRST), *lines, b"", b""))


def allowed(data: bytes) -> bool:
    """Whether a handshake may be answered with 101, by h11's reading and RFC 6455 §4.2.1."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data.lstrip(b"\r\n"))
    try:
        request = connection.next_event()
    except h11.RemoteProtocolError:
        return False
    if not isinstance(request, h11.Request) or request.method != b"GET":
        return False
    values = _grouped(list(request.headers))
    keys = values.get(b"sec-websocket-key", [])
    return (
        request.http_version == b"1.1"
        and len(values.get(b"host", [])) == 1
        and b"upgrade" in _tokens(values.get(b"connection", []))
        and b"websocket" in _tokens(values.get(b"upgrade", []))
        and values.get(b"sec-websocket-version") == [b"13"]
        and len(keys) == 1
        and _is_key(keys[0])
        and len(values.get(b"origin", [])) <= 1
        and b"transfer-encoding" not in values
        and all(length == b"0" for length in values.get(b"content-length", []))
    )


def _grouped(headers: list[tuple[bytes, bytes]]) -> dict[bytes, list[bytes]]:
    found: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        found.setdefault(name.lower(), []).append(value)
    return found


def _tokens(values: list[bytes]) -> Iterator[bytes]:
    return (token.strip(b" \t").lower() for value in values for token in value.split(b","))


def _is_key(key: bytes) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False
