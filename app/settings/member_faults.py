"""Faults of agents and tenants in their author's words: the member, and what it should be."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pydantic_core import ErrorDetails

MAX_NAME: Final = 64
LISTS: Final = frozenset({"tuple_type", "list_type", "set_type", "frozen_set_type"})
MAPPINGS: Final = frozenset({"model_type", "model_attributes_type", "dict_type"})
INTERNAL: Final = re.compile(r"\[key\]|\w+\[.*\]")
"""Steps of a path that are pydantic's own: a mapping's key, one of several types."""

OWN: Final = re.compile(r"^(Value error, |Input )")


def member_faults(
    variable: str, name: str, errors: Iterable[ErrorDetails], members: Iterable[str]
) -> list[str]:
    """Return one fault for each member of entry `name`; `members` are those that there are.

    A fault holds no value. What may be one of several types has one fault that names all.
    """
    known = sorted(members)
    said: dict[str, list[str]] = {}
    for error in errors:
        steps = [str(step) for step in error["loc"] if not INTERNAL.fullmatch(str(step))]
        said.setdefault(".".join((name, *steps)), []).append(_sentence(error, known))
    return [
        f"{variable}: {path}: {' or '.join(dict.fromkeys(sentences))}"
        for path, sentences in said.items()
    ]


def unfit_name(variable: str, name: object, rule: str) -> str:
    """A fault for the name of an entry; it is shown, so that it is found."""
    shown = "".join(c if c.isprintable() and c != "'" else "?" for c in str(name)[:MAX_NAME])
    return f"{variable}: '{shown}' is no name: {rule}"


def _sentence(error: ErrorDetails, known: Sequence[str]) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        close = difflib.get_close_matches(str(error["loc"][-1]), known, n=1)
        return "is no member" + (f"; did you mean {close[0]}?" if close else "")
    if kind == "too_short" and context.get("field_type") == "Value":
        return f"should have at least {context['min_length']} characters"
    return FIXED.get(kind) or OWN.sub("", error["msg"])


FIXED: Final[Mapping[str, str]] = {
    **dict.fromkeys(LISTS, "should be a list"),
    **dict.fromkeys(MAPPINGS, "should be a mapping of members"),
    "missing": "is missing",
    "string_type": "should be a text: put it in quotes",
}
