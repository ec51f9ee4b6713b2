"""RESP2, the server's side: requests in, replies out (redis.io/docs/reference/protocol-spec)."""

from __future__ import annotations

from typing import Final

from app.protocol.errors import RelayError

MAX_REQUEST: Final = 64 << 20
"""Bytes of one request, and what may wait of one that is not whole."""
MAX_WORDS: Final = 1 << 20

Request = list[bytes]
Reply = "bytes | int | str | None | StoreError | list[Reply]"


class StoreError(RelayError):
    """An answer that is an error; the text begins with its kind, as `ERR` or `NOSCRIPT`."""


class ProtocolError(RelayError):
    """What came is no request: the connection is of no more use."""


class RequestParser:
    """Cuts what arrives into requests, which are arrays of bulk strings."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> list[Request]:
        """Take bytes; return the requests that are whole now. Raises `ProtocolError`."""
        self._data += data
        found: list[Request] = []
        start = 0
        while (read := self._request(start)) is not None:
            request, start = read
            if request:
                found.append(request)
        del self._data[:start]
        if len(self._data) > MAX_REQUEST:
            raise ProtocolError("a request is too large")
        return found

    def _request(self, start: int) -> tuple[Request, int] | None:
        head = self._number(start, b"*", MAX_WORDS)
        if head is None:
            return None
        count, at = head
        words: Request = []
        for _ in range(count):
            word = self._number(at, b"$", MAX_REQUEST)
            if word is None:
                return None
            size, begin = word
            at = begin + size + 2
            if len(self._data) < at:
                return None
            words.append(bytes(self._data[begin : begin + size]))
        return words, at

    def _number(self, start: int, kind: bytes, most: int) -> tuple[int, int] | None:
        """Read a kind, a number and CR LF; return the number, and where the next thing begins."""
        end = self._data.find(b"\r\n", start, start + 32)
        if end < 0:
            if len(self._data) - start >= 32:  # noqa: PLR2004 - no number is as long
                raise ProtocolError("a length is too long")
            return None
        line = self._data[start:end]
        if line[:1] != kind or not line[1:].isdigit() or int(line[1:]) > most:
            raise ProtocolError("a length was expected")
        return int(line[1:]), end + 2


def encoded(reply: Reply) -> bytes:  # type: ignore[valid-type]
    """One reply as bytes: `str` is a simple string, `bytes` a bulk string, None the null."""
    parts: list[bytes] = []
    _encode(reply, parts)
    return b"".join(parts)


def _encode(reply: object, parts: list[bytes]) -> None:
    if isinstance(reply, bytes):
        parts += (b"$%d\r\n" % len(reply), reply, b"\r\n")
    elif reply is None:
        parts.append(b"$-1\r\n")
    elif isinstance(reply, int):
        parts.append(b":%d\r\n" % reply)
    elif isinstance(reply, str):
        parts.append(b"+%s\r\n" % reply.encode())
    elif isinstance(reply, StoreError):
        parts.append(b"-%s\r\n" % str(reply).replace("\r", " ").replace("\n", " ").encode())
    elif isinstance(reply, list):
        parts.append(b"*%d\r\n" % len(reply))
        for item in reply:
            _encode(item, parts)
    else:
        raise TypeError(type(reply).__name__)
