"""HTTP answers that the server itself writes: what needs no ASGI application."""

from __future__ import annotations

import json
import re
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    Lines = Iterable[tuple[bytes, bytes]]

_BREAK: Final = re.compile(rb"[\x00\r\n]")


def switching(accept: str, headers: Lines, subprotocol: str | None) -> bytes:
    """Make the answer that opens a WebSocket (RFC 6455 §4.2.2).

    `accept` is the value of `Sec-WebSocket-Accept`. Raises ValueError for a header of two lines.
    """
    lines = [
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
        _line(b"Sec-WebSocket-Accept", accept.encode()),
    ]
    lines += (_line(name, value) for name, value in headers)
    if subprotocol:
        lines.append(_line(b"Sec-WebSocket-Protocol", subprotocol.encode("latin-1")))
    lines.append(b"\r\n")
    return b"".join(lines)


def closing(status: int, headers: Lines, body: bytes) -> bytes:
    """Make an answer behind which the connection is closed.

    Raises ValueError for a header of two lines.
    """
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    fields = {
        b"date": formatdate(usegmt=True).encode(),
        b"connection": b"close",
        b"content-length": b"%d" % len(body),
        b"content-type": b"text/plain; charset=utf-8",
    }
    given = list(headers)
    for name, _ in given:
        fields.pop(name.lower(), None)
    lines = [f"HTTP/1.1 {status} {phrase}\r\n".encode()]
    lines += (_line(name, value) for name, value in (*given, *fields.items()))
    return b"".join((*lines, b"\r\n", body))


def problem(status: HTTPStatus, detail: str, headers: Lines = ()) -> bytes:
    """Make the answer (RFC 9457) to what the application never sees."""
    content = {"type": "about:blank", "title": status.phrase, "status": status, "detail": detail}
    kind = ((b"content-type", b"application/problem+json"), (b"cache-control", b"no-store"))
    return closing(status, (*kind, *headers), json.dumps(content).encode())


def _line(name: bytes, value: bytes) -> bytes:
    if _BREAK.search(value) or _BREAK.search(name):
        raise ValueError("a header's name or value holds a line break")
    return b"%s: %s\r\n" % (name, value)
