"""Cutting what a connection brings so that no piece spans the end of a head or of a request.

llhttp does not tell where in a piece a request began or ended. A head, and a chunked body (RFC 9112
§7.1), end with an empty line; any other body after as many bytes as its head says.
"""

from __future__ import annotations

from typing import Final

_END: Final = b"\r\n\r\n"
# Empty lines within one chunked body. JSON needs none; each costs a call of the parser.
MAX_EMPTY_LINES: Final = 1024


class Segments:
    """The places to cut one connection's bytes.

    `head` is what came of the current request until its head was over, with the empty lines before
    it. `too_many` says that a body has more empty lines than `MAX_EMPTY_LINES`.
    """

    __slots__ = ("_empty_lines", "_in_head", "_left", "_tail", "head")

    def __init__(self) -> None:
        self.head = b""
        self._in_head = True
        self._left = 0
        self._tail = b""
        self._empty_lines = 0

    @property
    def too_many(self) -> bool:
        """Whether the current body is refused for its empty lines."""
        return self._empty_lines > MAX_EMPTY_LINES

    def cut(self, data: bytes, at: int) -> int:
        """Give the end of the piece of `data` that begins at `at` and may be parsed at once."""
        if self._left:
            end = min(at + self._left, len(data))
            self._left -= end - at
            return end
        end = self._empty_line(data, at)
        if end:
            self._tail = b""
            self._empty_lines += not self._in_head
        else:
            end = len(data)
            self._tail = (self._tail + data[max(at, end - 3) :])[-3:]
        if self._in_head:
            self.head += data[at:end]
        return end

    def _empty_line(self, data: bytes, at: int) -> int:
        """Give the end of the next empty line, 0 if there is none."""
        if self._tail:  # it may have begun in what came before
            found = (self._tail + data[at : at + 3]).find(_END)
            if found >= 0:
                return at + found + len(_END) - len(self._tail)
        found = data.find(_END, at)
        return found + len(_END) if found >= 0 else 0

    def head_is_over(self, length: int) -> None:
        """A body follows: of this length, or, if that is 0, a chunked one or none."""
        self._in_head = False
        self._left = length

    def request_is_over(self) -> None:
        """The next byte is another request's."""
        self.head = b""
        self._in_head = True
        self._left = 0
        self._tail = b""
        self._empty_lines = 0
