"""Where the requests of a stream end: as h11 reads it, and as our protocol class does."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import h11
import uvicorn
from uvicorn.server import ServerState

from app.server.http_protocol import make_protocol
from app.server.upgrade import NativeUpgrade
from app.websocket.io_batcher import IoBatcher
from app.websocket.limits import WireLimits

if TYPE_CHECKING:
    from app.server.interface import Upgrade
    from tests.websocket.streams import Stream

TURNS = 40


@dataclass
class Seen:
    """One request; `complete` once its end has come, `behind` is what lies behind that."""

    method: str
    target: bytes
    body: bytes = b""
    complete: bool = False
    behind: bytes = b""


@dataclass
class Reading:
    """What a reader made of a stream. `closed`: it reads no further."""

    requests: list[Seen] = field(default_factory=list)
    closed: bool = False
    written: bytes = b""


def read_by_h11(data: bytes) -> Reading:
    """h11's view, which answers every request and never switches.

    Empty lines before a request line are skipped (RFC 9112 §2.2), which h11 does not do.
    """
    reading = Reading()
    rest: bytes | None = data
    while rest is not None:
        rest = _read_one(_without_empty_lines(rest), reading)
    return reading


def _read_one(data: bytes, reading: Reading) -> bytes | None:
    """Read a request; gives what is behind it, None where nothing more is read."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(data)
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Request):
                reading.requests.append(Seen(event.method.decode(), event.target))
            elif isinstance(event, h11.Data):
                reading.requests[-1].body += event.data
            elif isinstance(event, h11.EndOfMessage):
                behind = connection.trailing_data[0]
                reading.requests[-1].complete = True
                reading.requests[-1].behind = behind
                connection.send(h11.Response(status_code=400, headers=[("Content-Length", "0")]))
                connection.send(h11.EndOfMessage())
                reading.closed = connection.our_state is not h11.DONE
                return None if reading.closed or not behind else behind
            else:
                reading.closed = event is not h11.NEED_DATA
                return None
    except h11.RemoteProtocolError:
        reading.closed = True
        return None


def _without_empty_lines(data: bytes) -> bytes:
    while data.startswith(b"\r\n"):
        data = data[2:]
    return data


class Reader:
    """Our protocol class, over transports that are none."""

    def __init__(self) -> None:
        self._batcher = IoBatcher()
        self._config = uvicorn.Config(
            self._app,
            ws="none",
            interface="asgi3",
            proxy_headers=False,
            lifespan="off",
            log_config=None,
            access_log=False,
        )
        self._config.load()

    async def read(self, stream: Stream, *, early: bool) -> Reading:
        """Read a stream as it comes; `early`: answered before the body is read."""
        reading = Reading()
        transport = _Transport()
        state = {"reading": reading, "early": early}

        async def open_websocket(upgrade: Upgrade) -> None:
            assert upgrade.request.path == unquote(protocol.url.partition(b"?")[0].decode())
            reading.requests.append(Seen("WEBSOCKET", protocol.url, complete=True))
            await upgrade.accept()

        http = make_protocol(open_websocket, WireLimits(), self._batcher)
        protocol = http(self._config, ServerState(), state)
        transport.protocol = protocol
        protocol.connection_made(transport)
        pieces = list(stream.pieces)
        behind: bytes | None = None
        while pieces and behind is None and not transport.closing:
            if transport.paused:
                await _turns(lambda: not transport.paused or transport.closing)
                continue
            transport.protocol.data_received(pieces.pop(0))
            if isinstance(transport.protocol, NativeUpgrade):
                behind = transport.protocol._early + b"".join(pieces)
            await asyncio.sleep(0)
        await _turns(lambda: transport.closing or not protocol.tasks)
        if behind is not None:
            reading.closed = True
            reading.requests[-1].behind = behind
        reading.closed = reading.closed or transport.closing
        reading.written = bytes(transport.written)
        transport.protocol.connection_lost(None)
        await _turns(lambda: not protocol.tasks)
        assert not protocol.tasks
        return reading

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        reading: Reading = scope["state"]["reading"]
        target = scope["raw_path"]
        if scope["query_string"]:
            target += b"?" + scope["query_string"]
        seen = Seen(scope["method"], target)
        reading.requests.append(seen)
        if not scope["state"]["early"]:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return
                seen.body += message["body"]
                if not message["more_body"]:
                    break
            seen.complete = True
        headers = [(b"content-length", b"0"), (b"x-number", b"%d" % len(reading.requests))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


async def _turns(holds: Any) -> None:
    for _ in range(TURNS):
        if holds():
            return
        await asyncio.sleep(0)


class _Transport(asyncio.Transport):
    """Keeps what is written; whoever feeds it asks `paused` and `closing`."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.protocol: Any = None
        self.paused = False
        self.closing = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1) if name in ("sockname", "peername") else default

    def write(self, data: Any) -> None:
        self.written += data

    def write_eof(self) -> None:
        self.closing = True

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = True

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0


def difference(ours: Reading, theirs: Reading, *, early: bool) -> str:
    """What is wrong with our reading, or nothing.

    It may end sooner than h11's, but then the connection is closed; it never goes further, and
    what it has in common is equal.
    """
    for number, seen in enumerate(ours.requests):
        if number >= len(theirs.requests):
            return f"request {number} is none to h11: {seen}"
        other = theirs.requests[number]
        if not _agree(seen, other, early=early):
            return f"request {number}: {seen} and {other}"
    if not ours.closed and sum(s.complete or early for s in ours.requests) < sum(
        s.complete for s in theirs.requests
    ):
        return "fewer requests than h11 reads, and the connection is open"
    return _answers(ours)


def _agree(seen: Seen, other: Seen, *, early: bool) -> bool:
    if _path(seen.target) != _path(other.target):
        return False
    if seen.method == "WEBSOCKET":
        return (other.method, other.complete, other.body, other.behind) == (
            *("GET", True, b""),
            seen.behind,
        )
    if seen.method != other.method:
        return False
    if early:
        return True
    if seen.complete:
        return other.complete and seen.body == other.body
    return other.body.startswith(seen.body)


def _answers(ours: Reading) -> str:
    """The answers must be those of the requests, in order, and a refusal only the last."""
    statuses = [int(found) for found in re.findall(rb"HTTP/1\.1 (\d{3}) ", ours.written)]
    final = [status for status in statuses if status != 100]
    numbers = [int(found) for found in re.findall(rb"x-number: (\d+)", ours.written)]
    if numbers != list(range(1, len(numbers) + 1)):
        return f"answers out of order: {numbers}"
    if any(status >= 400 for status in final[:-1]):
        return f"an answer behind a refusal: {final}"
    return ""


def _path(target: bytes) -> bytes:
    """Without what an absolute target names before its path, and without a fragment."""
    found = re.fullmatch(rb"(?i)https?://[^/?]*(.*)", target, re.DOTALL)
    if found is None:
        return target
    return found[1] if found[1].startswith(b"/") else b"/" + found[1]
