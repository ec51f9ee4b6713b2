"""Texts in pieces: whatever the cut, no more than five digits of a number are shown."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.protocol.redaction import Redaction
from app.protocol.redaction_stream import KEPT_BEHIND, GrowingRedaction, StreamRedaction

ALL = Redaction(("card", "iban", "email", "phone", "secret"))
CARD = "4111 1111 1111 1111"


def shown(*pieces: str) -> list[str]:
    stream = StreamRedaction(ALL)
    return [stream.piece("assistant", piece) for piece in pieces]


def test_a_whole_number_is_masked_in_its_piece() -> None:
    assert shown(f"It is {CARD}. ", "Thanks.") == ["It is [card]. ", "Thanks."]


def test_a_number_over_two_pieces_is_masked_in_both() -> None:
    assert shown("It is 4111 1111 ", "1111 1111. ", "Thanks.") == [
        "It is […]",
        "[card]. ",
        "Thanks.",
    ]


def test_what_another_said_in_between_is_no_part_of_it() -> None:
    stream = StreamRedaction(ALL)
    assert stream.piece("assistant", "Say 4111") == "Say 4111"
    assert stream.piece("user", " 1111 1111 1111") == " […]"
    assert stream.piece("assistant", "17") == "17"


@pytest.mark.parametrize("text", ["It is 17", "It is 10015", "Nothing", ""])
def test_an_end_that_begins_no_number_is_shown(text: str) -> None:
    assert shown(text) == [text]


@pytest.mark.parametrize(
    ("secret", "most"), [(CARD, 5), ("DE89370400440532013000", 5), ("+14155550132", 5)]
)
@given(cuts=st.sets(st.integers(0, 40), max_size=6))
def test_wherever_it_is_cut_hardly_anything_shows(secret: str, most: int, cuts: set[int]) -> None:
    text = f"My no is {secret} now"
    edges = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    pieces = [text[a:b] for a, b in pairwise(edges)]
    whole = "".join(shown(*pieces))
    assert len(re.sub(r"\D", "", whole)) <= most
    assert whole.startswith("My no is")
    assert whole.endswith(" now")


@given(
    st.lists(
        st.sampled_from(
            [CARD[:7], CARD[7:], CARD, " ", "a " * 900, "x" * 3000, "a@b.cd ", "-----BEGIN", "\n"]
        ),
        max_size=12,
    )
)
@settings(max_examples=40)
def test_a_growing_text_is_masked_as_a_whole_one(pieces: list[str]) -> None:
    growing, text = GrowingRedaction(ALL), ""
    for piece in pieces:
        text += piece
        assert growing.mask(text) == ALL.mask(text)


def test_a_word_beside_a_growing_text_is_masked() -> None:
    assert GrowingRedaction(ALL).word("ann@example.com") == "[email]"


@pytest.mark.exhaustive
def test_of_a_growing_text_only_the_end_is_looked_at_again() -> None:
    looked_at = 0

    class Counting(Redaction):
        def spans(self, text: str) -> list[tuple[int, int, str]]:
            nonlocal looked_at
            looked_at += len(text)
            return super().spans(text)

    growing, text = GrowingRedaction(Counting(("card",))), ""
    for _ in range(500):
        text += f"{CARD} and so on, " * 10
        growing.mask(text)
    assert len(text) > 50 * KEPT_BEHIND
    assert looked_at < 500 * 4 * KEPT_BEHIND
