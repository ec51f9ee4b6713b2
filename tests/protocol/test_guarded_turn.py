"""A turn in pieces: judged as a whole, shown as far as it was passed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol.guarded_turn import MAX_TURN, TURN_GAP, GuardedTurn
from app.protocol.texts import Spoken


def piece(text: str, *, partial: bool = False) -> Spoken:
    return Spoken("assistant", text, partial, ("content", "text"))


def test_pieces_are_judged_with_what_was_said_before() -> None:
    turn = GuardedTurn()
    for text, judged in (("One ", "One "), ("two ", "One two "), ("three", "One two three")):
        assert turn.judged(piece(text), 1.0) == judged
        turn.passed(piece(text))
    turn.user_spoke()
    assert turn.judged(piece("New"), 1.0) == "New"


def test_a_partial_text_is_judged_but_no_part_of_what_was_said() -> None:
    turn = GuardedTurn()
    turn.passed(piece("Yes. "))
    assert turn.judged(piece("I", partial=True), 1.0) == "Yes. I"
    turn.passed(piece("I", partial=True))
    assert turn.judged(piece("I do"), 1.0) == "Yes. I do"


def test_a_mask_shows_only_what_was_not_shown() -> None:
    turn = GuardedTurn()
    turn.passed(piece("Card 4111 "))
    assert turn.masked(piece("1111 is"), "Card [card] is") == "[card] is"
    assert turn.judged(piece(" it"), 1.0) == "Card 4111 1111 is it"
    assert turn.masked(piece(" it"), "Card [card] is it") == " it"
    assert turn.masked(piece("!", partial=True), "Card [card] is it!") == "!"
    assert turn.masked(piece(""), "Card") == ""


def test_what_is_blocked_is_judged_again_with_what_follows_at_once() -> None:
    turn = GuardedTurn()
    turn.passed(piece("A "))
    assert turn.judged(piece("bomb"), 1.0) == "A bomb"
    assert turn.blocked(piece("bomb")) == (None, True)
    assert turn.judged(piece(" shell"), 1.5) == "A bomb shell"
    assert turn.blocked(piece(" shell")) == (None, False)
    assert turn.judged(piece("Tea"), 1.5 + TURN_GAP + 0.1) == "A Tea"
    turn.passed(piece("Tea"))
    assert turn.blocked(piece("x")) == (None, True)


def test_a_guardrail_that_passes_the_whole_brings_what_was_blocked_back_into_it() -> None:
    turn = GuardedTurn()
    assert turn.blocked(piece("bomb")) == (None, True)
    turn.judged(piece(" is a word"), 0.1)
    turn.passed(piece(" is a word"))
    assert turn.judged(piece("."), 0.2) == "bomb is a word."


def test_in_place_of_a_blocked_final_text_stands_the_partial_one_that_was_shown() -> None:
    turn = GuardedTurn()
    turn.passed(piece("A bo", partial=True))
    assert turn.blocked(piece("A bom", partial=True)) == (None, False)
    assert turn.blocked(piece("A bomb")) == ("A bo", True)
    assert turn.judged(piece("!"), 0.5) == "A bomb!"


def test_a_long_turn_is_judged_in_parts() -> None:
    turn = GuardedTurn()
    turn.passed(piece("x" * MAX_TURN))
    assert turn.judged(piece("y"), 1.0) == "x" * MAX_TURN + "y"
    turn.passed(piece("y"))
    assert turn.judged(piece("z"), 1.0) == "z"


@pytest.mark.parametrize("word", ["bomb"])
@given(pieces=st.lists(st.text("bom ", min_size=1, max_size=3), max_size=20))
def test_a_forbidden_word_is_never_shown_whole(word: str, pieces: list[str]) -> None:
    turn, shown = GuardedTurn(), ""
    for at, text in enumerate(pieces):
        if word in turn.judged(piece(text), at * 0.1):
            turn.blocked(piece(text))
        else:
            turn.passed(piece(text))
            shown += text
    assert word not in shown


@given(pieces=st.lists(st.text("bom ", min_size=1, max_size=3), max_size=20))
def test_masking_a_whole_never_lets_a_word_through(pieces: list[str]) -> None:
    turn, shown = GuardedTurn(), ""
    for at, text in enumerate(pieces):
        whole = turn.judged(piece(text), at * 0.1)
        if "bomb" in whole:
            shown += turn.masked(piece(text), whole.replace("bomb", "*"))
        else:
            turn.passed(piece(text))
            shown += text
    assert "bomb" not in shown
