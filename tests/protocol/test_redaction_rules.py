"""What personal data looks like: found however it is written, and nothing taken for it."""

from __future__ import annotations

import re
import sys
from time import thread_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol.redaction_rules import RULES, fold, has_digit, has_shape, is_luhn, open_end


def found(rule: str, text: str) -> list[str]:
    return [text[begin:end] for begin, end in RULES[rule](fold(text))]


def luhn_number(digits: str) -> str:
    return next(digits + last for last in "0123456789" if is_luhn(digits + last))


@pytest.mark.parametrize(
    "written",
    [
        "4111111111111111",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "4111.1111.1111.1111",
        "4111\u00a01111\u20091111\u20111111",
        "\uff14111111111111111",
        "378282246310005",
        "3782 822463 10005",
        "6011000990139424",
        "4222222222222",
        "6304000000000000000",
        "4111 - 1111 - 1111 - 1111".replace(" - ", "- "),
    ],
)
@pytest.mark.parametrize("around", ["{}", "card {}.", "x{}y", "17 {} 3", "({})", "no:{}, and"])
def test_a_card_number_is_found_in_any_text(written: str, around: str) -> None:
    # Digits before it belong to it where the whole has a Luhn digit too.
    assert [card for card in found("card", around.format(written)) if written in card]


def test_what_is_too_much_to_look_at_closely_is_masked_by_its_shape() -> None:
    table = "1 " * 64 + "2"
    assert found("card", f"a {table} b") == [table]
    assert found("card", f"a {table[2:]} b") == []
    accounts = ["DE88 3704 0044 0532 0130 00"] * 258
    assert len(found("iban", "; ".join(accounts))) == 2


def test_two_card_numbers_in_one_run_are_two() -> None:
    assert found("card", "4111111111111111 5555555555554444") == [
        "4111111111111111",
        "5555555555554444",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111112",  # the Luhn digit is wrong
        "411111111111",  # too short
        "41111111111111111111111",  # one run, and too long
        "0000000000000000",
        "1764178795007",  # a time in milliseconds, which has a Luhn digit by chance
        "2026-11-26 17:39:55",
        "no number",
    ],
)
def test_no_card_number(text: str) -> None:
    assert found("card", text) == []


@given(st.text("0123456789", min_size=13, max_size=18).filter(lambda d: d[0] not in "01"))
def test_every_number_with_a_luhn_digit_is_found(digits: str) -> None:
    number = luhn_number(digits)
    assert found("card", f"my card: {number}!") == [number]


@pytest.mark.parametrize(
    "written",
    [
        "DE89370400440532013000",
        "DE89 3704 0044 0532 0130 00",
        "de89 3704 0044 0532 0130 00",
        "GB82-WEST-1234-5698-7654-32",
        "NO9386011117947",
        "MT84MALT011000012345MTLCAST001S",
    ],
)
@pytest.mark.parametrize("around", ["{}", "to {} please now", "({})", "IBAN:{}.", "{} "])
def test_an_iban_is_found_in_any_text(written: str, around: str) -> None:
    assert found("iban", around.format(written)) == [written]


@pytest.mark.parametrize(
    "text",
    [
        "DE88370400440532013000",
        "XDE89370400440532013000",
        "DE89",
        "AB12 words follow here and go on for a while",
        "AB12" + "C" * 40,
    ],
)
def test_no_iban(text: str) -> None:
    assert found("iban", text) == []


@pytest.mark.parametrize(
    "written",
    [
        "ann@example.com",
        "ann.lee+shop@mail.example.co.uk",
        "анна@пример.рф",
        "a@b.cd",
        "o_o-x@x-y.example",
    ],
)
@pytest.mark.parametrize("around", ["{}", "write to {}.", "<{}>", "({}), or", '"{}"', "@ {} @x"])
def test_an_address_is_found_in_any_text(written: str, around: str) -> None:
    assert found("email", around.format(written)) == [written]


@pytest.mark.parametrize("text", ["@", "a@b", "meet @ 5.30", "a @example.com", "x@.", "@ann.lee"])
def test_no_address(text: str) -> None:
    assert found("email", text) == []


@pytest.mark.parametrize(
    "written",
    [
        "+14155550132",
        "+1 415 555 0132",
        "+1 (415) 555-0132",
        "+49 (0) 30 / 1234-567",
        "+4915112345678",
        "0049 151 12345678",
        "030 123456789",
        "(030) 1234567",
        "(415) 555-0132",
        "415-555-0132",
        "415.555.0132",
        "4155550132",
        "1-415-555-0132",
        "8 (495) 123-45-67",
        "+7\u00a0495\u2011123\u201145\u201167",
    ],
)
@pytest.mark.parametrize("around", ["{}", "call {}.", "tel:\u00a0{}, or", "[{}]"])
def test_a_telephone_number_is_found_in_any_text(written: str, around: str) -> None:
    assert written in found("phone", around.format(written))


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-26T17:39:55.123Z",
        "2026-11-26 17:39",
        "05.11.2026",
        "05-11-2026 17:39",
        "order 1001",
        "1764178795",
        "1764178795007",
        "+12345",
        "192.168.100.200",
        "3.141592653589793",
    ],
)
def test_no_telephone_number(text: str) -> None:
    assert found("phone", text) == []


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("sk-proj-abcdefghijklmnop1234 is it", "sk-proj-abcdefghijklmnop1234"),
        ("use sk_live_abcdefghijklmnop", "sk_live_abcdefghijklmnop"),
        ("ghp_abcdefghijklmnopqrst12", "ghp_abcdefghijklmnopqrst12"),
        ("AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
        ("xoxb-1234567890-abc", "xoxb-1234567890-abc"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        (
            "a eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln b",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
        ),
        ("Authorization: Bearer abc/def+ghi=", "abc/def+ghi="),
        ("postgres://me:hunter2@db/x", "hunter2"),
        ("password=hunter2&x", "hunter2"),
        ('"API_KEY": "hunter2"', "hunter2"),
        ("my password is hunter2", "hunter2"),
        ("Pin: 1234", "1234"),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----",
            "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----",
        ),
        ("-----BEGIN PRIVATE KEY-----\nabc", "-----BEGIN PRIVATE KEY-----\nabc"),
    ],
)
def test_a_secret_is_found(text: str, secret: str) -> None:
    assert secret in found("secret", text)


@pytest.mark.parametrize(
    "text", ["the password is wrong", "spinning: 1234", "compass: north", "tokens: 512", "sk-short"]
)
def test_no_secret(text: str) -> None:
    assert found("secret", text) == []


NASTY = [
    "1",
    "1 ",
    "a@",
    "a",
    "aA1",
    "0 ",
    "+1",
    "DE89 ",
    "eyJ",
    "sk-",
    "://a:",
    "password is ",
    "(",
]


@pytest.mark.parametrize("rule", sorted(RULES))
@pytest.mark.parametrize("unit", NASTY)
def test_time_grows_with_the_length_alone(rule: str, unit: str) -> None:
    def seconds(size: int) -> float:
        text = (unit * size)[:size]
        best = 9.0
        for _ in range(3):
            begun = thread_time()
            list(RULES[rule](text))
            best = min(best, thread_time() - begun)
        return best

    small, large = seconds(2_000), seconds(16_000)
    assert large < 0.02 + 24 * small  # 8 times as long; a square would be 64 times


@pytest.mark.parametrize(
    ("text", "end"),
    [("it is 411111", "411111"), ("to DE89 37", "DE89 37"), ("at ann@ex", "ann@ex"), ("no 17", "")],
)
def test_an_end_that_may_begin_a_number_is_found(text: str, end: str) -> None:
    assert text[open_end(text, 0) :] == end


@pytest.mark.exhaustive
def test_every_decimal_digit_of_unicode_is_a_digit_and_nothing_else_is() -> None:
    characters = map(chr, range(sys.maxunicode + 1))
    assert [c for c in characters if has_digit(f"a{c} ") != c.isdecimal()] == []


@given(st.text(st.characters(max_codepoint=127)))
def test_an_ascii_text_is_folded_as_any_other(text: str) -> None:
    assert fold(text) == fold(text + "\u00e9")[:-1]


@given(st.text("0123456789 .-a\u0661", max_size=80))
def test_a_run_of_digits_begins_where_no_digit_is_before_it(text: str) -> None:
    runs = [m.span() for m in re.finditer(r"(?<!\d)\d(?:[ .-]{0,2}\d){12,}(?!\d)", text)]
    for begin, end in RULES["card"](text):
        assert any(first <= begin and end <= last for first, last in runs)


@given(st.text("059 .-/()aZ@", max_size=60))
def test_no_text_in_which_a_pattern_finds_something_is_taken_for_one_without(text: str) -> None:
    if re.search(r"\d(?:[ .-]{0,2}\d){12,}", text):
        assert has_shape(text, b"0" * 13, b" .-")
    if re.search(r"[A-Za-z]{2}\d{2}", text):
        assert has_shape(text, b"aa00")
    if re.search(r"\d(?:[ ()./-]{0,3}\d){6}", text):
        assert has_shape(text, b"0" * 7, b" ()./-")
    assert has_shape(text, b"0") == has_digit(text)


ACCOUNT = "DE89370400440532013000"


@given(st.text("Dz -\u00e9", max_size=6))
def test_an_account_number_is_found_wherever_it_is_no_part_of_a_longer_word(before: str) -> None:
    text = before + ACCOUNT
    is_apart = not (before and before[-1].isascii() and before[-1].isalnum())
    found_here = text[len(before) :] in found("iban", text)
    assert found_here == is_apart
