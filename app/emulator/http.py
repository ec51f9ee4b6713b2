"""The HTTP of the fake vendor: one request a connection, read with h11, answered with JSON."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import h11
import orjson

HEAD: Final = 64 * 1024
BODY: Final = 64 * 1024


class BadRequest(Exception):  # noqa: N818 - what it is called
    """What came was no HTTP request that this server reads."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request, its query decoded. `head` is what it came as, for the WebSocket handshake."""

    method: str
    path: str
    query: dict[str, str] = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    head: bytes = field(repr=False)
    body: bytes = b""

    @property
    def upgrades(self) -> bool:
        """Whether it asks for a WebSocket."""
        return self.headers.get("upgrade", "").lower() == "websocket"

    def json(self) -> dict[str, Any]:
        """Read the body as a JSON object; what is none reads as an empty one."""
        try:
            body = orjson.loads(self.body or b"{}")
        except orjson.JSONDecodeError:
            return {}
        return body if isinstance(body, dict) else {}


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer; `body` is sent as JSON unless it is `None`."""

    status: int
    body: Any = None
    headers: tuple[tuple[str, str], ...] = ()

    def encode(self) -> bytes:
        """Write it as HTTP/1.1, for the last time on this connection."""
        body = b"" if self.body is None else orjson.dumps(self.body)
        lines = [
            f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}",
            f"Content-Length: {len(body)}",
            "Content-Type: application/json",
            "Connection: close",
            *(f"{name}: {value}" for name, value in self.headers),
        ]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def problem(status: int, message: str) -> Answer:
    """Refuse, with a sentence."""
    return Answer(status, {"status": status, "message": message})


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """Read a request; `None` if the peer left before it sent one. Raises `BadRequest`."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, OSError):
        return None
    except asyncio.LimitOverrunError as exc:
        raise BadRequest("head too large") from exc
    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD)
    try:
        parser.receive_data(head)
        event = parser.next_event()
    except h11.RemoteProtocolError as exc:
        raise BadRequest(str(exc)) from exc
    if not isinstance(event, h11.Request):
        raise BadRequest("no request")
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
    url = urlsplit(event.target.decode("latin-1"))
    query = dict(parse_qsl(url.query, keep_blank_values=True))
    body = b"" if "upgrade" in headers else await _read_body(parser, reader)
    return Request(event.method.decode(), url.path, query, headers, head, body)


async def _read_body(parser: h11.Connection, reader: asyncio.StreamReader) -> bytes:
    body = b""
    while True:
        try:
            event = parser.next_event()
        except h11.RemoteProtocolError as exc:
            raise BadRequest(str(exc)) from exc
        if event is h11.NEED_DATA:
            parser.receive_data(await reader.read(HEAD))
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
            if len(body) > BODY:
                raise BadRequest("body too large")
        else:
            return body
