"""Values are passed over where a parser reads them, and not where it refuses them."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol.byte_checks import has_valid_escapes, is_utf8
from app.protocol.json_scanner import (
    after_colon,
    after_number,
    after_scalar,
    after_space,
    after_string,
    after_value,
    is_at,
)
from tests.protocol.mutants import mutants
from tests.protocol.test_codec import texts

DEEPEST = 64
UNDECIDED = -1


def is_passed(payload: bytes) -> bool:
    """Tell whether a payload is one object, with white space around it, and all is decided."""
    end = len(payload)
    start = after_space(payload, 0, end)
    if not is_utf8(payload) or not has_valid_escapes(payload) or payload[start:][:1] != b"{":
        return False
    position = after_value(payload, start, end, DEEPEST)
    return position != UNDECIDED and after_space(payload, position, end) == end


def is_object(payload: bytes) -> bool:
    try:
        return type(orjson.loads(payload)) is dict
    except orjson.JSONDecodeError:
        return False


@given(texts())
def test_what_is_passed_is_an_object_for_the_parser(payload: bytes) -> None:
    assert is_object(payload) or not is_passed(payload)


@pytest.mark.exhaustive
def test_mutants_are_passed_as_by_the_parser() -> None:
    passed = objects = 0
    for payload in mutants(Random(8259), 2_000):  # noqa: S311 - the same in every run
        good = is_object(payload)
        objects += good
        if is_passed(payload):
            assert good, payload
            passed += 1
    assert objects > 200
    assert passed > objects * 0.8  # the rest nests too deeply, or has a long number


VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(10**40), 10**40),
        st.floats(-1e15, 1e15).filter(lambda number: number == 0 or abs(number) > 1e-15),
        st.text(),
    ),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=4,
)


@given(st.dictionaries(st.text(), VALUES), st.sampled_from([None, 0, 2]), st.booleans())
def test_what_a_writer_writes_is_passed(
    value: dict[str, Any], indent: int | None, plain: bool
) -> None:
    assert is_passed(json.dumps(value, indent=indent, ensure_ascii=plain).encode())


@pytest.mark.parametrize("brackets", [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"b" : ', b"}]")])
def test_depth_is_bounded(brackets: tuple[bytes, bytes]) -> None:
    opening, closing = brackets
    levels = opening.count(b"[") + opening.count(b"{")
    for count in (1, DEEPEST // levels, DEEPEST // levels + 1):
        payload = opening * count + b"1" + closing * count
        expected = len(payload) if count * levels <= DEEPEST else UNDECIDED
        assert after_value(payload, 0, len(payload), DEEPEST) == expected
        assert after_value(payload, 0, len(payload), 0) == UNDECIDED


@pytest.mark.parametrize(
    "payload",
    [
        *(b"", b"[", b"{", b"[1", b'{"a"', b'{"a":', b'{"a":1', b"[1,", b'{"a":1,', b"[[]"),
        *(b"[}", b"{]", b"[,", b"{,", b"[1,]", b'{"a":1,}', b"{1:2}", b"[1 2]", b"[1}", b'{"a":1]'),
        *(b'{"a" 1}', b'{"a":}', b'["a" "b"]', b"[nul]", b"[tru", b"[falsE]", b"[a]", b'["a]'),
        *(b'["\n"]', b'{"a\x00":1}', b'["' + b"z" * 50 + b"\x1f" + b'"]', b'["' + b"z" * 50),
    ],
)
def test_what_is_wrong_is_not_decided(payload: bytes) -> None:
    assert after_value(payload, 0, len(payload), DEEPEST) == UNDECIDED


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b"a", b'\\"', b"\\\\", b'\\\\\\"', b'a\\\\\\\\\\"b', b"{[:,]}", b"\x7f"),
        *(b"z" * size for size in (29, 30, 31, 32, 33, 63, 64, 65, 200)),
        *(b"z" * size + b'\\"' for size in (28, 29, 30, 31, 32, 33, 34, 61, 62, 63, 64, 65)),
        *(b'\\"' * size + b"\\\\" for size in (14, 15, 16, 17, 40)),
        b'\\\\\\"' * 40,
    ],
)
def test_string_ends_at_its_own_quotation_mark(text: bytes) -> None:
    payload = b'["' + text + b'","' + b"y" * 40 + b'"]'
    assert after_string(payload, 1, len(payload)) == len(text) + 3
    assert after_scalar(payload, 1, len(payload)) == len(text) + 3
    cut = payload[: len(text) + 2]
    assert after_string(cut, 1, len(cut)) == UNDECIDED


@pytest.mark.parametrize("payload", [b"", b"a", b'x"'])
def test_no_string_begins_without_a_quotation_mark(payload: bytes) -> None:
    assert after_string(payload, 0, len(payload)) == UNDECIDED
    assert after_scalar(payload, len(payload), len(payload)) == UNDECIDED


@pytest.mark.parametrize(
    ("number", "decided"),
    [
        *((each, True) for each in (b"0", b"-0", b"7", b"-1.5", b"10", b"0.25", b"1e5", b"1E+99")),
        *((each, True) for each in (b"-1.5e-09", b"9" * 190, b"0." + b"1" * 180)),
        *((each, False) for each in (b"", b"-", b"01", b"-01", b"1.", b".5", b"+1", b"1e", b"1e+")),
        *((each, False) for each in (b"1e100", b"9" * 250, b"1.e5", b"NaN", b"Infinity", b"x")),
        *((each, False) for each in (b"9" * 200, b"1." + b"9" * 198, b"1" * 199 + b"e")),
    ],
)
def test_numbers_are_those_of_the_rfc(number: bytes, decided: bool) -> None:
    payload = number + b"}"
    assert (after_number(payload, 0, len(payload)) == len(number)) is decided
    assert after_number(number, 0, len(number)) == UNDECIDED  # more of it may follow


@pytest.mark.parametrize("word", [b"null", b"true", b"false"])
def test_words_are_known(word: bytes) -> None:
    assert after_scalar(b"[" + word + b"]", 1, len(word) + 2) == len(word) + 1
    for size in range(1, len(word)):
        assert after_scalar(b"[" + word[:size], 1, size + 1) == UNDECIDED


def test_white_space_is_that_of_json() -> None:
    assert after_space(b" \t\r\n:", 0, 5) == 4
    assert after_space(b"  ", 0, 2) == 2
    for octet in set(range(256)) - set(b" \t\r\n"):
        assert after_space(bytes((octet,)), 0, 1) == 0


def test_value_begins_behind_its_colon() -> None:
    assert after_colon(b" : 1", 0, 4) == 3
    assert after_colon(b" ", 0, 1) == UNDECIDED
    assert after_colon(b" 1", 0, 2) == UNDECIDED


@pytest.mark.parametrize("position", [4, 5, 40])
def test_nothing_begins_behind_the_end(position: int) -> None:
    payload = b'": 1'
    assert after_colon(payload, position, 4) == UNDECIDED
    assert after_string(payload, position, 4) == UNDECIDED
    assert after_scalar(payload, position, 4) == UNDECIDED
    assert after_number(payload, position, 4) == UNDECIDED
    assert after_value(payload, position, 4, DEEPEST) == UNDECIDED
    assert after_space(payload, position, 4) == position
    assert not is_at(payload, position, 4, b"1")


def test_bytes_stand_where_they_are() -> None:
    assert is_at(b"abc", 1, 3, b"bc")
    assert not is_at(b"abc", 1, 3, b"bd")
    assert not is_at(b"abcd", 1, 3, b"bcd")
