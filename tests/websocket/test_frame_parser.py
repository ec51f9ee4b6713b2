"""The framing core: RFC 6455 rule by rule, any chunking, and the judgement of another parser."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from app.websocket.frame_parser import FrameParser
from app.websocket.frames import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    close_payload,
    header,
    masked_header,
    parse_close,
)
from app.websocket.masking import MaskKeys, apply_mask
from app.websocket.pass_through import PassThrough
from tests.websocket.listeners import MAX_FRAGMENTS, MAX_MESSAGE, Heard, chop, heard
from tests.websocket.peers import frame


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 999, 1000])
def test_a_whole_text_arrives(size: int) -> None:
    payload = b"x" * size
    assert heard(frame(TEXT, payload)).events == [("text", payload)]
    assert heard(frame(TEXT, payload, mask=False), server=False).events == [("text", payload)]


def test_a_length_of_64_bits_is_understood() -> None:
    payload = b"y" * 70_000
    assert heard(frame(TEXT, payload), max_message=1 << 20).events == [("text", payload)]


def test_one_byte_too_many_is_1009_by_the_header_alone() -> None:
    assert heard(frame(TEXT, b"x" * (MAX_MESSAGE + 1))[:4]).verdict == 1009
    assert heard(b"\x81\xff" + b"\xff" * 8).verdict == 1009


def test_fragments_together_are_bound_by_the_message_size() -> None:
    first = frame(TEXT, b"x" * 600, fin=False)
    assert heard(first + frame(CONT, b"x" * 400)).events == [("text", b"x" * 1000)]
    assert heard(first + frame(CONT, b"x" * 401)[:4]).verdict == 1009


def test_fragments_are_counted() -> None:
    endless = frame(TEXT, fin=False) + frame(CONT, fin=False) * (MAX_FRAGMENTS - 1)
    assert heard(endless).verdict is None
    assert heard(endless + frame(CONT, fin=False)).verdict == 1009


def test_control_frames_may_come_between_fragments() -> None:
    data = (
        frame(TEXT, b"he", fin=False)
        + frame(PING, b"p")
        + frame(CONT, b"l", fin=False)
        + frame(PONG)
        + frame(CONT, b"lo")
    )
    assert heard(data).events == [("ping", b"p"), ("pong", b""), ("text", b"hello")]


@pytest.mark.parametrize(
    "data",
    [
        frame(TEXT, b"x", mask=False),
        frame(3),
        frame(0xB),
        bytes((0x81 | 0x40,)) + frame(TEXT)[1:],
        bytes((0x80 | 0x20 | PING,)) + frame(PING)[1:],
        frame(PING, fin=False),
        frame(PING, b"x" * 126),
        frame(CONT, b"x"),
        frame(TEXT, fin=False) + frame(TEXT),
        frame(TEXT, fin=False) + frame(BINARY),
        frame(CLOSE, b"\x03"),
        frame(CLOSE, b"\x03\xed"),
        frame(CLOSE, b"\x03\xe7"),
    ],
    ids=[
        "unmasked",
        "opcode 3",
        "opcode 11",
        "rsv1",
        "rsv2 on a ping",
        "ping in fragments",
        "ping too long",
        "continuation of nothing",
        "text in text",
        "binary in text",
        "close of one byte",
        "close 1005",
        "close 999",
    ],
)
def test_a_broken_rule_is_1002(data: bytes) -> None:
    assert heard(data).verdict == 1002


def test_a_masked_frame_from_a_server_is_1002() -> None:
    assert heard(frame(TEXT, b"x"), server=False).verdict == 1002


def test_text_that_is_not_utf8_is_1007() -> None:
    assert heard(frame(TEXT, b"\xff")).verdict == 1007
    assert heard(frame(TEXT, b"\xed\xa0\x80")).verdict == 1007  # a lone surrogate
    assert heard(frame(TEXT, b"\xe2\x82")).verdict == 1007  # cut short
    assert heard(frame(BINARY, b"\xff")).verdict is None


def test_a_code_point_may_lie_across_fragments() -> None:
    euro = "€".encode()
    data = frame(TEXT, euro[:1], fin=False) + frame(CONT, euro[1:])
    assert heard(data).events == [("text", euro)]


def test_bad_text_is_noticed_before_its_last_fragment() -> None:
    assert heard(frame(TEXT, b"\xe2\x28", fin=False)).verdict == 1007
    open_end = heard(frame(TEXT, b"\xe2", fin=False))
    assert open_end.verdict is None
    assert open_end.feed(frame(CONT, b"\x28", fin=False)).verdict == 1007


def test_nothing_after_a_close_is_parsed() -> None:
    data = frame(CLOSE, close_payload(1000, "bye")) + frame(TEXT, b"late") + b"\xff\xff"
    assert heard(data).events == [("close", 1000, "bye")]


def test_a_close_reason_must_be_utf8() -> None:
    assert heard(frame(CLOSE, b"\x03\xe8\xff")).verdict == 1007


def test_a_close_reason_is_cut_between_characters() -> None:
    payload = close_payload(1000, "€" * 100)
    assert len(payload) <= 125
    assert parse_close(payload) == (1000, "€" * 41)


def test_a_close_without_a_code_is_1005() -> None:
    assert heard(frame(CLOSE)).events == [("close", 1005, "")]
    assert close_payload(1005) == b""


def test_an_owner_that_stops_hears_no_more() -> None:
    listener = Heard()
    listener.parser.on_text = lambda payload: listener.parser.stop()  # noqa: ARG005
    listener.feed(frame(TEXT, b"a") + frame(TEXT, b"b") + frame(PING))
    assert listener.events == []
    assert listener.parser.held == 0


def test_headers_are_those_of_the_other_library() -> None:
    for size in (0, 1, 125, 126, 127, 65535, 65536, 70_000):
        payload = b"z" * size
        plain = Frame(Opcode.TEXT, payload).serialize(mask=False)
        assert header(TEXT, size) + payload == plain
        assert masked_header(TEXT, size)[1] == plain[1] | 0x80


def test_mask_keys_differ() -> None:
    keys = MaskKeys()
    assert len({keys.take() for _ in range(3000)}) > 2990


def test_the_fallback_masks_alike() -> None:
    from websockets.utils import apply_mask as slow  # noqa: PLC0415

    for size in range(70):
        payload = random.Random(size).randbytes(size)  # noqa: S311
        assert apply_mask(payload, b"abcd") == slow(payload, b"abcd")


def test_an_origin_knows_the_frame_of_what_is_delivered() -> None:
    pass_through = PassThrough()
    seen: list[bytes] = []

    def look(payload: bytes) -> None:
        assert pass_through.payload is payload
        seen.append(pass_through.data[pass_through.start : pass_through.stop])

    parser = FrameParser(
        Heard(), pass_through=pass_through, max_message=MAX_MESSAGE, max_fragments=MAX_FRAGMENTS
    )
    parser.on_text = look
    frames = [frame(TEXT, b"a" * size, mask=False) for size in (3, 200, 0)]
    parser.feed(b"".join(frames))
    assert seen == frames


def test_a_frame_with_a_stretched_header_is_not_passed_on() -> None:
    pass_through = PassThrough()
    parser = FrameParser(
        Heard(), pass_through=pass_through, max_message=MAX_MESSAGE, max_fragments=MAX_FRAGMENTS
    )
    parser.feed(b"\x81\x7e\x00\x01x" + b"\x81\x7f\x00\x00\x00\x00\x00\x00\x00\x01y")
    assert pass_through.payload is None


# Any chunking

events = st.lists(
    st.one_of(
        st.tuples(st.just("text"), st.text(max_size=200).map(str.encode)),
        st.tuples(st.just("binary"), st.binary(max_size=200)),
        st.tuples(st.just("ping"), st.binary(max_size=125)),
        st.tuples(st.just("pong"), st.binary(max_size=125)),
    ),
    max_size=8,
)
OPCODES = {"text": TEXT, "binary": BINARY, "ping": PING, "pong": PONG}


@settings(deadline=None, max_examples=300)
@given(said=events, seed=st.integers(0, 1 << 32), server=st.booleans(), split=st.integers(1, 5))
def test_what_is_said_is_heard_however_it_is_cut(
    said: list[tuple[str, bytes]], seed: int, server: bool, split: int
) -> None:
    data = b""
    for kind, payload in said:
        if kind in ("ping", "pong") or split == 1:
            data += frame(OPCODES[kind], payload, mask=server)
            continue
        size = max(1, -(-len(payload) // split))
        parts = [payload[at : at + size] for at in range(0, len(payload), size)] or [b""]
        for number, part in enumerate(parts):
            opcode = CONT if number else OPCODES[kind]
            data += frame(opcode, part, fin=number == len(parts) - 1, mask=server)
    listener = Heard(server=server)
    for piece in chop(data, seed):
        listener.feed(piece)
    assert listener.verdict is None
    assert listener.events == said
    assert listener.parser.held == 0
