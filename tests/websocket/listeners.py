"""A listener to a parser, for the tests of the framing core."""

from __future__ import annotations

import random
from typing import Any

from app.protocol.errors import PeerError
from app.websocket.frame_parser import FrameParser
from app.websocket.pass_through import PassThrough

MAX_MESSAGE = 1000
MAX_FRAGMENTS = 8


class Heard:
    """Writes down what a parser says."""

    def __init__(self, *, server: bool = True, max_message: int = MAX_MESSAGE) -> None:
        self.events: list[tuple[Any, ...]] = []
        self.parser = FrameParser(
            self,
            pass_through=None if server else PassThrough(),
            max_message=max_message,
            max_fragments=MAX_FRAGMENTS,
        )
        self.fault: PeerError | None = None
        self.closed_within_message = False

    def text_received(self, payload: bytes) -> None:
        self.events.append(("text", payload))

    def binary_received(self, payload: bytes) -> None:
        self.events.append(("binary", payload))

    def ping_received(self, payload: bytes) -> None:
        self.events.append(("ping", payload))

    def pong_received(self, payload: bytes) -> None:
        self.events.append(("pong", payload))

    def close_received(self, code: int, reason: str) -> None:
        self.closed_within_message = self.parser.within_message
        self.events.append(("close", code, reason))

    def feed(self, data: bytes) -> Heard:
        if self.fault is None:
            try:
                self.parser.feed(data)
            except PeerError as fault:
                self.fault = fault
        return self

    @property
    def verdict(self) -> int | None:
        return None if self.fault is None else self.fault.code


def heard(data: bytes, **options: Any) -> Heard:
    return Heard(**options).feed(data)


def chop(data: bytes, seed: int) -> list[bytes]:
    dice = random.Random(seed)  # noqa: S311
    pieces = []
    while data:
        size = dice.choice((1, 1, 2, 3, 7, 50, 1000))
        pieces.append(data[:size])
        data = data[size:]
    return pieces
