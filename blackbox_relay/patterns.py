"""Regular expressions of schemas, matched in linear time: RE2 instead of Python's `re`.

A pattern comes with a tool's schema, the text from an agent and so from the people it talks with.
Where a pattern backtracks, each further character of a text can double the time that it takes, and
nothing else runs on the event loop meanwhile.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import re2
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

if TYPE_CHECKING:
    from collections.abc import Iterator

UNICODE_ESCAPE: Final = re.compile(r"\\(\\|u([0-9A-Fa-f]{4})|u\{([0-9A-Fa-f]{1,6})\})")
"""ECMA-262's escapes by code point (§22.2.1), which RE2 writes otherwise; `\\\\` is passed over."""

MAX_MEMORY: Final = 8 << 20
"""Bytes of memory that one pattern may take."""


def compiled(pattern: object) -> Any | None:
    """Compile an ECMA-262 pattern; None for one with look-around, back-references and the like."""
    if not isinstance(pattern, str):
        return None
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MAX_MEMORY
    try:
        return re2.compile(UNICODE_ESCAPE.sub(_by_code_point, pattern), options)
    except (re2.error, UnicodeEncodeError):
        return None


def _by_code_point(escape: re.Match[str]) -> str:
    digits = escape[2] or escape[3]
    return escape[0] if digits is None else rf"\x{{{digits}}}"


class LinearPatterns:
    """Keywords of JSON Schema that match names and texts, by RE2.

    The schemas hold no pattern that `compiled` has refused, and no `unevaluatedProperties` beside
    `patternProperties`, which jsonschema looks through by `re`.
    """

    def __init__(self, kind: Any) -> None:
        self._known: dict[str, Any] = {}
        self._any_additional = kind.VALIDATORS["additionalProperties"]
        keywords = {
            "pattern": self._pattern,
            "patternProperties": self._pattern_properties,
            "additionalProperties": self._additional_properties,
        }
        self.kind: Any = extend(kind, keywords)  # type: ignore[no-untyped-call]

    def matches(self, pattern: str, text: str) -> bool:
        """Tell whether a pattern matches anywhere in a text."""
        found: Any = self._known.get(pattern)
        if found is None:
            found = self._known[pattern] = compiled(pattern)
        try:
            return found.search(text) is not None
        except UnicodeEncodeError:  # a lone surrogate, which has no UTF-8
            return found.search(text.encode(errors="replace").decode()) is not None

    def _pattern(self, validator: Any, wanted: str, instance: Any, _: Any) -> Iterator[Any]:
        if validator.is_type(instance, "string") and not self.matches(wanted, instance):
            yield ValidationError("does not match the pattern")

    def _pattern_properties(
        self, validator: Any, wanted: Any, instance: Any, _: Any
    ) -> Iterator[Any]:
        if not validator.is_type(instance, "object"):
            return
        for each, schema in wanted.items():
            for name in filter(partial(self.matches, each), instance):
                value = instance[name]
                yield from validator.descend(value, schema, path=name, schema_path=each)

    def _additional_properties(
        self, validator: Any, allowed: Any, instance: Any, schema: Any
    ) -> Iterator[Any]:
        wanted = schema.get("patternProperties")
        if wanted and validator.is_type(instance, "object"):
            instance = {
                name: value
                for name, value in instance.items()
                if not any(self.matches(each, name) for each in wanted)
            }
            schema = {key: value for key, value in schema.items() if key != "patternProperties"}
        yield from self._any_additional(validator, allowed, instance, schema)
