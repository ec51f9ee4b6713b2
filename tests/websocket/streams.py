"""A grammar of HTTP/1.1 streams, right and wrong: what a connection may carry, by a seed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n"
METHODS = (b"GET", b"POST", b"POST", b"PUT", b"HEAD", b"OPTIONS", b"DELETE", b"PATCH")
RARE_METHODS = (
    b"CONNECT",
    b"get",
    b"FOO",
    b"PRI",
    b"SOURCE",
    b"G\x00T",
    b"",
    b"TRACE",
    b"M-SEARCH",
)
TARGETS = (b"/a", b"/b?c=d", b"/%2e%2e/e", b"//host/f", b"/")
RARE_TARGETS = (
    *(b"http://test/g", b"http://other/h", b"*", b"test:80", b"/a b", b"/\xc3\xbc", b"/a#b", b""),
    *(b"/\x00", b"/\t", b"http://test", b"https://test?x", b"/\x7f", b"/" + b"x" * 9000),
)
VERSIONS = (b"HTTP/1.1",) * 12 + (
    *(b"HTTP/1.0", b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0", b"HTTP/0.9", b"http/1.1", b"HTTP/1.1 "),
    *(b"HTTP/01.1", b"HTTP/1.10", b"RTSP/1.0", b"", b"ICE/1.0"),
)
PLAIN = (b"Accept: */*", b"X-Long: " + b"y" * 300, b"User-Agent: a/1 (b; c)", b"X-Empty:", b"A:b")
CONNECTIONS = (
    *(b"close", b"keep-alive", b"Upgrade", b"upgrade, keep-alive", b"keep-alive,Upgrade"),
    *(b"Upgrade, HTTP2-Settings", b"", b"close, keep-alive", b" UPGRADE\t", b"upgrade/1", b","),
)
UPGRADES = (
    *(b"websocket", b"WebSocket", b"h2c", b"foo", b"h2c, websocket", b"websocket, h2c", b""),
    *(b"TLS/1.0", b"websocket/13", b" websocket ", b"xwebsocket"),
)
ODD_LINES = (
    *(b"Host: other", b"Expect: 100-continue", b"Expect: 200-ok", b"Transfer-Encoding: identity"),
    *(b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: chunked", b"X: \x00", b"X: a\x01b"),
    *(b"Content-Length: 0", b"Content-Length: 5, 5", b"Content-Length: +3", b"Content-Length : 3"),
    *(b"Transfer-Encoding : chunked", b" folded", b"\tTransfer-Encoding: chunked", b"no colon"),
    *(b": no name", b"X\x00: y", b"X Y: z", b"\xc3\xbc: u", b"X: \xc3\xbc", b"Content-Length:"),
    *(b"X-A: b\rContent-Length: 30", b"X-A: b\nContent-Length: 30", b"Trailer: X"),
    *(b"Transfer-Encoding:\x0bchunked", b"Transfer-Encoding: Chunked", b"TE: trailers, chunked"),
    *(b"Content-Length: 0x3", b"Content-Length: 3 4", b"Content-Length: -1", b"Content_Length: 4"),
    *(b"Transfer-Encoding: chunked, chunked", b'Transfer-Encoding: "chunked"', b"Host : x"),
    *(b"Content-Length: 99999999999999999999", b"Content-Length: 000000000003", b"Keep-Alive: 5"),
    *(b"Proxy-Connection: keep-alive", b"Content-Length: 3;", b"Content-Length: \x003", b"Host:"),
)
ENDS = (b"\r\n",) * 60 + (b"\n", b"\r", b"\r\r\n", b"\n\r\n", b" \r\n")
BODIES = (
    b"",
    b"x",
    b"hello",
    SMUGGLED,
    b"\r\n" * 3 + SMUGGLED,
    b"0\r\n\r\n" + SMUGGLED,
    b"\x00\r\n",
)
SIZES = (b"%x", b"%x", b"%X", b"0%x", b"%x ", b" %x", b"+%x", b"0x%x", b"-%x", b"%xg", b"\t%x")
EXTENSIONS = (b"",) * 8 + (
    *(
        b";a",
        b";a=b",
        b';a="b\\"c"',
        b"; a",
        b";",
        b";a=\r\n",
        b";a\nb",
        b";\x00",
        b" ;a",
        b";a=b;c",
    ),
)
TRAILERS = (b"",) * 8 + (
    *(
        b"X: y\r\n",
        b"Content-Length: 9\r\n",
        b"bad\r\n",
        b" folded: z\r\n",
        b"X: y\n",
        b"X : y\r\n",
    ),
    *(b"Transfer-Encoding: chunked\r\n", b"X: \x00\r\n", b"\n"),
)
BLANKS = (b" ",) * 60 + (b"  ", b"\t", b" \t", b"\x0b")
SPECIAL = (
    b"\r",
    b"\n",
    b"\r\n",
    b"\x00",
    b" ",
    b"\t",
    b":",
    b",",
    b"\r\n\r\n",
    b"0",
    b"\xff",
    b"\x0b",
)
KEY = (
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    b"Sec-WebSocket-Version: 13",
)


@dataclass(frozen=True)
class Stream:
    """What one connection brings, in `pieces` as they are read."""

    data: bytes
    pieces: tuple[bytes, ...]


def stream(random: Random) -> Stream:
    """One to four requests, perhaps with an accident, cut anywhere."""
    data = b"".join(_request(random) for _ in range(random.choice((1, 1, 2, 2, 3, 4))))
    if random.random() < 0.05:
        data = random.choice((b"\r\n", b"\n", b" ", b"\r\n\r\n")) + data
    while random.random() < 0.12:
        data = _accident(random, data)
    return Stream(data, tuple(_cut(random, data)))


def _request(random: Random) -> bytes:
    method = random.choice(METHODS if random.random() < 0.97 else RARE_METHODS)
    target = random.choice(TARGETS if random.random() < 0.95 else RARE_TARGETS)
    version = random.choice(VERSIONS) if random.random() < 0.4 else b"HTTP/1.1"
    lines = [b"Host: test"] if random.random() < 0.98 else []
    lines += random.choices(PLAIN, k=random.choice((0, 0, 1, 2)))
    websocket = random.random() < 0.06
    if websocket:
        method, lines = b"GET", [*lines, b"Connection: Upgrade", b"Upgrade: websocket", *KEY]
    if random.random() < 0.25:
        lines.append(b"Connection: " + random.choice(CONNECTIONS))
    if random.random() < 0.2:
        lines.append(b"Upgrade: " + random.choice(UPGRADES))
        lines.append(b"Connection: " + random.choice((b"Upgrade", random.choice(CONNECTIONS))))
    framing, body = _body(random, has=not websocket or random.random() < 0.1)
    lines += framing
    while random.random() < 0.15:
        lines.append(random.choice(ODD_LINES))
    random.shuffle(lines)
    ends = ENDS if random.random() < 0.3 else (b"\r\n",)
    head = b"".join(line + random.choice(ends) for line in lines)
    first = method + random.choice(BLANKS) + target + random.choice(BLANKS) + version
    first += random.choice(ends)
    return first + head + random.choice(ends) + body


def _body(random: Random, *, has: bool) -> tuple[list[bytes], bytes]:
    """Lines that announce a body, and the body."""
    kind = random.random()
    if not has or kind < 0.3:
        return [], b""
    content = random.choice(BODIES)
    if random.random() < 0.03:
        content *= random.choice((10, 2000))
    if kind < 0.65:
        length = len(content)
        if random.random() < 0.1:
            length = max(0, length + random.choice((-3, -1, 1, 30)))
        lines = [b"Content-Length: %d" % length]
        if random.random() < 0.04:
            lines.append(b"Content-Length: %d" % random.choice((length, 0, len(SMUGGLED))))
        return lines, content
    return [b"Transfer-Encoding: chunked"], _chunks(random, content)


def _chunks(random: Random, content: bytes) -> bytes:
    odd = random.random() < 0.3
    made = b""
    while content:
        size = random.randint(1, len(content))
        form = random.choice(SIZES) if odd and random.random() < 0.3 else b"%x"
        extension = random.choice(EXTENSIONS) if odd else b""
        end = random.choice(ENDS) if odd else b"\r\n"
        made += form % size + extension + end + content[:size]
        made += random.choice(ENDS) if odd else b"\r\n"
        content = content[size:]
    trailer = random.choice(TRAILERS) if odd else b""
    last = random.choice((b"0", b"0", b"00", b"")) if odd else b"0"
    return made + last + b"\r\n" + trailer + b"\r\n"


def _accident(random: Random, data: bytes) -> bytes:
    at = random.randint(0, len(data))
    kind = random.randrange(4)
    if kind == 0:
        return data[:at] + random.choice(SPECIAL) + data[at:]
    if kind == 1:
        return data[:at] + data[at + 1 :]
    if kind == 2:
        return data[:at] + random.choice(SPECIAL) + data[at + 1 :]
    return data[:at]


def _cut(random: Random, data: bytes) -> list[bytes]:
    if random.random() < 0.3:
        return [data]
    if random.random() < 0.05 and len(data) < 2000:
        return [data[at : at + 1] for at in range(len(data))]
    places = sorted(random.randint(0, len(data)) for _ in range(random.randint(1, 5)))
    borders = [0, *places, len(data)]
    return [data[a:b] for a, b in pairwise(borders) if a < b]
