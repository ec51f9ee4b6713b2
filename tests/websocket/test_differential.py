"""The framing core under the judgement of another parser: the same verdicts on the same bytes."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from app.websocket.frames import BINARY, CLOSE, CONT, PING, PONG, TEXT, parse_close
from tests.websocket.listeners import MAX_MESSAGE, Heard, chop
from tests.websocket.peers import frame

# The same verdicts as another parser on the same bytes

URI = parse_uri("ws://test/")
NOWHERE = 1100  # bytes that make any unfinished frame whole


def judged_by_websockets(data: bytes, *, server: bool) -> tuple[list[tuple[Any, ...]], int | None]:
    """What `websockets` hears in these bytes, text judged as uvicorn and its own client do."""
    protocol: Any = (
        ServerProtocol(state=OPEN, max_size=(None, MAX_MESSAGE))
        if server
        else ClientProtocol(URI, state=OPEN, max_size=(None, MAX_MESSAGE))
    )
    protocol.receive_data(data)
    events: list[tuple[Any, ...]] = []
    parts: list[bytes] = []
    kind = ""
    for event in protocol.events_received():
        if event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            if event.opcode is not Opcode.CONT:
                kind, parts = ("text" if event.opcode is Opcode.TEXT else "binary"), []
            parts.append(bytes(event.data))
            if event.fin:
                events.append((kind, b"".join(parts)))
        elif event.opcode is Opcode.CLOSE:
            events.append(("close", *parse_close(bytes(event.data))))
        else:
            events.append((event.opcode.name.lower(), bytes(event.data)))
    fault = protocol.parser_exc
    return events, None if fault is None else protocol.close_sent.code


def compare(data: bytes, seed: int, *, server: bool) -> int | None:
    """Hold our parser against theirs; gives the verdict.

    Both are fed on with zeros, since they refuse a frame at different bytes of it: that brings
    both to a verdict, or to a close. Five differences are ours by choice: text is judged here,
    theirs leaves it to its caller; fragments are counted, and bound together; a control frame
    too long for any limit is 1002, not 1009; and a close between fragments is heard as one.
    """
    data += bytes(NOWHERE)
    ours = Heard(server=server)
    for piece in chop(data, seed) if seed % 2 else (data,):
        ours.feed(piece)
        assert ours.parser.held <= 2 * MAX_MESSAGE + 200
    events, verdict = judged_by_websockets(data, server=server)
    fault = str(ours.fault)
    if fault in ("not UTF-8", "too many fragments") or (
        fault == "message too large" and ours.parser.within_message
    ):
        assert ours.events == events[: len(ours.events)], data
    elif ours.closed_within_message:
        assert verdict == 1002, data
        assert ours.events[:-1] == events, data
    else:
        if "control" in fault and verdict == 1009:
            verdict = 1002
        assert ours.verdict == verdict, data
        assert ours.events == events, data
    return ours.verdict


def random_stream(dice: random.Random, *, server: bool) -> bytes:
    """Frames that are mostly right, with what is wrong thrown in."""
    data = bytearray()
    for _ in range(dice.randint(1, 6)):
        opcode = dice.choice((TEXT, TEXT, TEXT, BINARY, CONT, CONT, PING, PONG, CLOSE))
        size = dice.choice((0, 1, 2, 5, 60, 125, 126, 130, 400))
        if opcode & 8:
            size = min(size, 125)
        payload = dice.choice((bytes(size), b"a" * size, "é€😀".encode() * (size // 9)))
        if opcode == CLOSE and size:
            payload = dice.choice((1000, 1001, 1005, 3000, 4999, 0)).to_bytes(2, "big") + b"ok"
        data += frame(opcode, payload, fin=dice.random() < 0.7, mask=server)
    for _ in range(dice.choice((0, 0, 0, 1, 2))):
        data[dice.randrange(len(data))] = dice.randrange(256)
    if dice.random() < 0.2:
        del data[dice.randrange(len(data)) :]
    return bytes(data)


def fuzz(inputs: int, seed: int) -> dict[int | None, int]:
    dice = random.Random(seed)  # noqa: S311
    verdicts: dict[int | None, int] = {}
    for number in range(inputs):
        server = bool(number & 1)
        data = (
            dice.randbytes(dice.randint(0, 40))
            if number % 10 == 0
            else random_stream(dice, server=server)
        )
        verdict = compare(data, dice.getrandbits(16), server=server)
        verdicts[verdict] = verdicts.get(verdict, 0) + 1
    return verdicts


def test_the_other_parser_judges_alike() -> None:
    verdicts = fuzz(20_000, seed=6455)
    assert set(verdicts) == {None, 1002, 1007, 1009}
    assert min(verdicts.values()) > 20  # every verdict was really reached


@pytest.mark.nightly
@pytest.mark.timeout(1800)
def test_the_other_parser_judges_a_million_streams_alike() -> None:
    assert sum(fuzz(1_000_000, seed=random.SystemRandom().getrandbits(32)).values()) == 1_000_000


@settings(deadline=None, max_examples=300)
@given(data=st.binary(max_size=300), seed=st.integers(0, 1 << 16), server=st.booleans())
def test_any_bytes_are_judged_alike(data: bytes, seed: int, server: bool) -> None:
    compare(data, seed, server=server)
