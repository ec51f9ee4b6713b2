"""A secret is found however its characters are percent-encoded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.telemetry.encoded import encoded_pattern
from app.telemetry.logs import MASK, Redactor

SECRET = "canary+key/=%41&~"


def encoded(character: str, times: int, *, upper: bool) -> str:
    """A character, encoded so many times."""
    if times == 0:
        return character
    again = "25" * (times - 1)
    codes = (f"{byte:02X}" if upper else f"{byte:02x}" for byte in character.encode())
    return "".join(f"%{again}{code}" for code in codes)


HOW = st.tuples(st.integers(0, 3), st.booleans())


@given(
    st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="<>"), min_size=4, max_size=24
    ),
    st.lists(HOW, min_size=24, max_size=24),
    st.text("<>", max_size=5),
)
def test_any_encoding_of_any_secret_is_taken_out(
    secret: str, how: list[tuple[int, bool]], around: str
) -> None:
    made = "".join(
        encoded(character, times, upper=upper)
        for character, (times, upper) in zip(secret, how, strict=False)
    )
    pattern = encoded_pattern([secret])
    assert pattern is not None
    assert pattern.sub(MASK, f"{around}{made}{around}") == f"{around}{MASK}{around}"


@pytest.mark.parametrize(
    "written",
    [
        "canary%2Bkey%2f%3D%2541%26~",  # upper and lower case
        "%63anary+key/=%41&~",  # a letter that nobody has to encode
        "canary%252Bkey%252F%253D%252541%2526~",  # twice
        "".join(f"%{byte:02x}" for byte in SECRET.encode()),
    ],
)
def test_a_log_line_shows_no_encoding_of_a_secret(written: str) -> None:
    assert Redactor([SECRET])(f"dial /x/{written} failed") == f"dial /x/{MASK} failed"


@pytest.mark.parametrize("written", ["50%", "50%25", "50%2525", "%35%30%25"])
def test_nothing_is_left_of_a_percent_sign_at_the_end(written: str) -> None:
    assert Redactor(["50%"])(f"x {written} y%25") == f"x {MASK} y%25"


def test_a_blank_may_be_a_plus() -> None:
    assert Redactor(["pass word"])("x pass+word%21") == f"x {MASK}%21"


def test_what_is_no_secret_stays() -> None:
    assert encoded_pattern(["", ""]) is None
    assert Redactor([SECRET])("canary%2Ckey%2f") == "canary%2Ckey%2f"
