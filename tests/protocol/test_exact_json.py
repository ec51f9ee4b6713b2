"""Every integer keeps its digits, and all else is read and written as orjson does."""

from __future__ import annotations

import json
import tracemalloc
from decimal import Decimal
from math import inf, isinf
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from blackbox_relay import exact_json
from blackbox_relay.exact_json import MAX_DIGITS, NumberTooLarge

INTEGERS = st.integers() | st.integers(0, 4299).flatmap(
    lambda digits: st.integers(-(10 ** (digits + 1)) + 1, 10 ** (digits + 1) - 1)
)
PLAIN = st.none() | st.booleans() | st.text() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    PLAIN | INTEGERS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(VALUES)
@example([2**63, 2**64, -(2**63) - 1, 10**MAX_DIGITS - 1, 0.1, "\U0001f600"])
def test_what_is_written_is_read_again_to_the_digit(value: Any) -> None:
    document = exact_json.dumps(value)
    assert exact_json.loads(document) == value
    assert _kinds(exact_json.loads(document)) == _kinds(value)
    assert json.loads(document) == value
    assert exact_json.loads(json.dumps(value).encode()) == value


def _kinds(value: Any) -> Any:
    if isinstance(value, list):
        return [_kinds(item) for item in value]
    if isinstance(value, dict):
        return {key: _kinds(item) for key, item in value.items()}
    return type(value)


@given(INTEGERS, st.integers(0, 40), st.integers(0, 40))
@example(12345678901234567890123, 1, 0)
@example(1, 0, 30)
def test_an_integer_in_another_notation_is_the_same_number(
    number: int, zeros: int, exponent: int
) -> None:
    digits = str(number) + "0" * exponent if number else "0"
    point = f".{'0' * zeros}" if zeros else ""
    for text in (f"{digits}{point}e0", f"{number}{point}e{exponent}", f"{number}E+{exponent}"):
        if len(digits.lstrip("-")) > MAX_DIGITS:
            continue
        read = exact_json.loads(text.encode())
        # A double is kept where its shortest decimal is the number that was written.
        written = Decimal(repr(read)) if isinstance(read, float) else Decimal(read)
        assert written == Decimal(text)


@given(st.binary() | st.text().map(str.encode) | VALUES.map(lambda v: json.dumps(v).encode()))
@example(b'["\\ud800", 12345678901234567890123]')
@example(b'{"a": NaN, "b": 12345678901234567890123}')
@example(b"[-Infinity, 1e999]")
@example(b"\xff12345678901234567890123")
@example(b"[" * 100_000 + b"12345678901234567890123")
@example(b"012345678901234567890123")
@example(b'\xef\xbb\xbf{"n": 12345678901234567890123}')
def test_what_is_no_json_is_refused_as_orjson_refuses_it(document: bytes) -> None:
    try:
        expected = orjson.loads(document)
    except orjson.JSONDecodeError as error:
        if "infinity" not in str(error):
            with pytest.raises(ValueError):  # noqa: PT011 - each parser has words of its own
                exact_json.loads(document)
        return
    found = exact_json.loads_all(document)
    assert json.loads(json.dumps(found), parse_int=float) == json.loads(
        json.dumps(expected), parse_int=float
    )


@pytest.mark.parametrize(
    "text",
    ["1" * (MAX_DIGITS + 1), "-" + "1" * (MAX_DIGITS + 1), "1.5e9999", "1e4300", f"1e{10**30}"],
    ids=["digits", "negative", "fraction", "exponent", "endless"],
)
def test_a_number_that_cannot_be_kept_is_named(text: str) -> None:
    document = f'{{"n": {text}}}'.encode()
    with pytest.raises(NumberTooLarge):
        exact_json.loads(document)
    assert isinf(exact_json.loads_all(document)["n"])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e4299", 10**4299),
        ("-1.5e400", -15 * 10**399),
        ("1e-400", 0.0),
        (f"1e-{10**30}", 0.0),
        ("0.12345678901234567890", 0.12345678901234568),
        ("1234567890123456789.5", 1.2345678901234568e18),
        ("0.0000000000000000e9", 0.0),
    ],
)
def test_numbers_at_the_edges(text: str, value: float) -> None:
    assert exact_json.loads(text.encode()) == value


def test_what_python_cannot_write_is_refused_by_name() -> None:
    for value in (10**MAX_DIGITS, [-(10**MAX_DIGITS)]):
        with pytest.raises(NumberTooLarge):
            exact_json.dumps(value)
    for odd in ({1, 2}, [2**70, {1}], [2**70, object()]):
        with pytest.raises(TypeError):
            exact_json.dumps(odd)
    with pytest.raises(ValueError, match="surrogates"):
        exact_json.dumps(["\ud800", 2**70])


def test_the_slow_way_writes_as_orjson_does() -> None:
    value = [inf, -inf, float("nan"), {1: True, 2.5: None}, (1, 2)]
    assert exact_json.dumps([*value, 2**70]) == exact_json.dumps(value)[:-1] + b",%d]" % 2**70
    assert exact_json.dumps([{7}, 2**70], list) == b"[[7],%d]" % 2**70


def test_only_long_numbers_may_be_changed() -> None:
    assert not exact_json.may_be_changed(b'{"n": 123456789012345, "t": 1e22}')
    assert exact_json.may_be_changed(b'{"n": 12345678901234567}')


def test_what_is_kept_takes_no_more_memory_than_it_needs() -> None:
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        kept = [exact_json.dumps({"n": number}) for number in range(500)]
        kept += [exact_json.fitted(orjson.dumps([number])) for number in range(500)]
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert (kept[7], kept[507]) == (b'{"n":7}', b"[7]")
    assert taken / len(kept) < 256  # orjson's own take 4 KiB each
