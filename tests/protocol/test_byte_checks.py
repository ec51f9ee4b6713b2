"""Whether the UTF-8 and the escapes of a payload are right."""

from __future__ import annotations

from itertools import product

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol.byte_checks import has_valid_escapes, is_utf8, is_well_written


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"", True),
        (b'{"a": 1}\x7f\n', True),
        (b"a\\nb", True),
        (b"a\\xb", False),
        ("é\\t".encode(), True),
        (b"\xff\\t", False),
        ("é\\x".encode(), False),
    ],
)
@pytest.mark.parametrize("around", [b"", b"z" * 100])
def test_escapes_and_utf8_are_looked_at_anywhere(
    payload: bytes, expected: bool, around: bytes
) -> None:
    assert is_well_written(around + payload + b"zz" + around) is expected


def is_decodable(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


# The first and the last of each range that RFC 3629 section 4 tells apart.
BORDERS = (
    *(0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF),
    *(0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF),
)


@pytest.mark.exhaustive
def test_every_pair_of_bytes_is_judged_as_by_the_decoder() -> None:
    for pair in product(range(0x7E, 256), repeat=2):
        for payload in (b"{ab" + bytes(pair), bytes(pair)):
            assert is_utf8(payload) is is_decodable(payload), payload


@pytest.mark.exhaustive
def test_borders_of_utf8_are_those_of_the_decoder() -> None:
    for octets in product((0xBF, 0x80, 0x8F, 0x90, 0x41, 0xC2, 0xE1), BORDERS, repeat=2):
        first, second, third, fourth = octets
        payload = bytes((0x7B, 0x61, 0x62, second, first, fourth, third, 0x7D))
        assert is_utf8(payload) is is_decodable(payload), payload
        assert is_utf8(payload[:-1]) is is_decodable(payload[:-1]), payload


@given(
    st.lists(
        st.one_of(
            st.text(
                "a\x7f\x80\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff\ud800", max_size=4
            ).map(lambda text: text.encode(errors="surrogatepass")),
            st.binary(max_size=3),
        ),
        max_size=12,
    ).map(b"".join)
)
def test_utf8_is_what_the_decoder_reads(payload: bytes) -> None:
    assert is_utf8(payload) is is_decodable(payload)
    assert is_utf8(b"abc" + payload) is is_decodable(payload)


TOKENS = (
    *(b"a", b"\\n", b'\\"', b"\\\\", b"\\/", b"\\b", b"\\f", b"\\r", b"\\t", b"\\x", b"\\ "),
    *(b"\\u00e9", b"\\u00E", b"\\uFFff", b"\\u12g4", b"\\u", b"\\ud83d", b"\\uDE00", b"\\uda"),
)


def hold_alike(text: bytes) -> bool:
    payload = b'["' + text + b'"]'
    try:
        orjson.loads(payload)
    except orjson.JSONDecodeError:
        expected = False
    else:
        expected = True
    assert has_valid_escapes(payload) is expected, payload
    return expected


def test_escapes_are_right_where_the_parser_reads_them() -> None:
    judged = [hold_alike(b"".join(each)) for each in product(TOKENS, repeat=3)]
    judged += [
        hold_alike(b"z" * 9 + b"".join(each) + b"z" * 9) for each in product(TOKENS, repeat=2)
    ]
    assert 100 < sum(judged) < len(judged) - 100


@given(st.lists(st.sampled_from(TOKENS), max_size=30).map(b"".join))
def test_many_escapes_are_right_where_the_parser_reads_them(text: bytes) -> None:
    hold_alike(text)


@pytest.mark.parametrize("payload", [b'["\\', b'["abcdefgh\\', b'["\\u12', b'["\\\\\\'])
def test_escape_that_is_cut_is_wrong(payload: bytes) -> None:
    assert not has_valid_escapes(payload)


def test_without_escapes_all_are_right() -> None:
    assert has_valid_escapes(b"")
    assert has_valid_escapes(b'["' + b"z" * 100 + b'"]')
