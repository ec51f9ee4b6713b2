"""Masking: whole texts, JSON values and documents, and rules that are none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol.redaction import (
    MAX_PATTERNS,
    WITHHELD,
    InvalidRule,
    Redaction,
    faults_of,
    split_rules,
)

ALL = Redaction(("card", "iban", "email", "phone", "secret"))
CARD = "4111 1111 1111 1111"


def test_each_rule_has_its_mask() -> None:
    text = f"{CARD}, DE89370400440532013000, ann@example.com, +14155550132, sk-{'a1' * 12}"
    assert ALL.mask(text) == "[card], [iban], [email], [phone], [secret]"


def test_nothing_found_leaves_the_text_as_it_is() -> None:
    text = "nothing to see, 17 of 1001"
    assert ALL.mask(text) is text


def test_only_the_rules_that_are_set_hold() -> None:
    assert Redaction(("email",)).mask(f"{CARD} a@b.cd") == f"{CARD} [email]"


def test_overlapping_finds_are_one_mask() -> None:
    both = Redaction(("/1111.*/", "card"))
    assert both.mask(f"a {CARD} b") == "a [redacted]"
    assert Redaction(("email", "secret")).mask("password=ann@example.com!") == "[secret]"


@pytest.mark.parametrize("size", range(8, len(CARD)))
def test_what_a_cut_has_left_of_a_number_is_masked(size: int) -> None:
    assert ALL.mask(f"{CARD}: {CARD[:size]}…") == "[card]: […]…"
    assert ALL.mask("it is 17…") == "it is 17…"


def test_a_new_line_does_not_hide_a_number() -> None:
    assert ALL.mask("4111\n1111\n1111\n1111") == "[card]"


@pytest.mark.parametrize(
    ("value", "masked"),
    [
        ({"a": [CARD, {"b": "x a@b.cd"}]}, {"a": ["[card]", {"b": "x [email]"}]}),
        (4111111111111111, "[card]"),
        (4111111111111111.0, "[card]"),
        (1001, 1001),
        (0.4111111111111111, 0.4111111111111111),
        ((CARD, None, True), ["[card]", None, True]),
        ({"a@b.cd": 1, "c@d.ef": 2}, {"[email]": 1, "[email] 2": 2}),
        ({"Password": "x", "api-key": 7, "token": None}, None),
        ({1: CARD}, {"1": "[card]"}),
    ],
)
def test_values_are_masked_wherever_they_are(value: Any, masked: Any) -> None:
    expected = masked or {"Password": "[secret]", "api-key": "[secret]", "token": None}
    assert ALL.mask_value(value) == expected


def test_members_with_secret_names_are_shown_where_secret_is_no_rule() -> None:
    assert Redaction(("card",)).mask_value({"password": "x"}) == {"password": "x"}


def test_a_pattern_of_the_operator_s_holds_in_texts_and_numbers() -> None:
    own = Redaction((r"/order-\d{2,4}/", r"/3\.14/"))
    assert own.mask("see order-1001, order-1") == "see [redacted], order-1"
    assert own.mask_value({"pi": 3.14, "e": 2.71}) == {"pi": "[redacted]", "e": 2.71}


def test_a_value_that_is_nested_too_deeply_is_withheld() -> None:
    deep: Any = CARD
    for _ in range(5000):
        deep = [deep]
    assert ALL.mask_value(deep) == WITHHELD


def test_documents_are_masked_as_values_or_else_as_texts() -> None:
    assert json.loads(ALL.mask_json(json.dumps({"a": CARD}).encode())) == {"a": "[card]"}
    escaped = '{"a": "\\u0034111 1111 1111 1111"}'
    assert json.loads(ALL.mask_json(escaped.encode())) == {"a": "[card]"}
    assert ALL.mask_json(f"{{{CARD}".encode()) == b"{[card]"
    assert ALL.mask_json(b'{"n":123456789012345678901234}') == b'{"n":123456789012345678901234}'


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_text_around_saves_a_number(before: str, after: str) -> None:
    """Only digits or letters that make another number of it do."""
    text = f"{before.rstrip('0123456789')}: {CARD} ;{after}"
    assert CARD not in ALL.mask(text)


@pytest.mark.parametrize(
    ("written", "rules"),
    [
        ("card,email", ("card", "email")),
        (" card , ,email,", ("card", "email")),
        (r"/\d{2,4}/,card", (r"/\d{2,4}/", "card")),
        (r"card,/a\/b,c/", ("card", r"/a\/b,c/")),
        ("/open, card", ("/open, card",)),
        ("", ()),
    ],
)
def test_a_comma_within_a_pattern_does_not_part(written: str, rules: tuple[str, ...]) -> None:
    assert split_rules(written) == rules


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("cards", "is none of card, email, iban, phone, secret"),
        ("/open", "closing /"),
        ("//", "closing /"),
        ("/a/b", "closing /"),
        ("/(a/", "no regular expression of RE2"),
        (r"/(?=a)b/", "look-around"),
        (r"/(a)\1/", "back-references"),
        ("/a*/", "matches the empty text"),
        ("/" + "a" * 1001 + "/", "longer than 1000"),
    ],
)
def test_a_rule_that_is_none_is_named_by_its_position(rule: str, why: str) -> None:
    (fault,) = faults_of(("card", rule))
    assert fault.startswith("item 2 ")
    assert why in fault
    with pytest.raises(InvalidRule):
        Redaction((rule,))


def test_rules_are_bounded_in_number() -> None:
    assert faults_of(("card",) * MAX_PATTERNS) == []
    assert faults_of(("card",) * (MAX_PATTERNS + 1)) == [f"holds more than {MAX_PATTERNS} rules"]


def test_a_pattern_that_would_backtrack_takes_linear_time() -> None:
    """Python's own `re` needs 2 to the power of 5000 steps here."""
    own = Redaction((r"/(a+)+$/",))
    assert own.mask("a" * 5000 + "!") == "a" * 5000 + "!"
