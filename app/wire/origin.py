"""Where the message that is being delivered came from, so that it can go on as it came."""

from __future__ import annotations


class Origin:
    """The unmasked frame whose payload an owner is looking at right now.

    A server's frames go to a browser unmasked as they came from upstream. When an owner sends on
    the very object that it was given, the frame's own bytes are written instead of a new frame;
    and frames that follow one another in a read, and are all sent on, are one slice of it.
    `payload` is that object, or None; `data[start:stop]` is its frame, as long as the batch lasts.
    """

    __slots__ = ("data", "payload", "start", "stop")

    def __init__(self) -> None:
        self.data = b""
        self.payload: bytes | None = None
        self.start = 0
        self.stop = 0
