"""The shape of a frame: names and types, never a value. Pure.

What the vendor sends that is unknown is kept by its shape, so that an operator can pass it on.
"""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

MAX_DEPTH: Final = 4
MAX_MEMBERS: Final = 32
MAX_SHAPE: Final = 2048
"""Bytes of one shape; a longer one is cut to its outermost members."""

NAME: Final = re.compile(r"[A-Za-z_$][A-Za-z_$.-]{0,47}\d{0,3}")
"""What a name looks like. A key that is none may be a value, such as a number or an address."""

_OTHER: Final = "<other>"
_TYPES: Final = {
    str: "string",
    bool: "boolean",
    int: "number",
    float: "number",
    type(None): "null",
    list: "array",
    dict: "object",
}


def shape_of(frame: dict[str, Any]) -> str:
    """Return a frame's shape as JSON text; `type` and an event's `name` are names, and stay."""
    text = _written(frame, MAX_DEPTH)
    return text if len(text) <= MAX_SHAPE else _written(frame, 1)


def _written(frame: dict[str, Any], depth: int) -> str:
    shape = _object(frame, depth)
    for word in ("type", "name"):
        if isinstance(value := frame.get(word), str):
            shape[word] = _name(value)
    return orjson.dumps(shape, option=orjson.OPT_SORT_KEYS).decode()


def _object(value: dict[str, Any], depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key in list(value)[:MAX_MEMBERS]:
        found.setdefault(_name(key), _shape(value[key], depth - 1))
    return found


def _shape(value: Any, depth: int) -> Any:
    if depth > 0 and isinstance(value, dict):
        return _object(value, depth)
    if depth > 0 and isinstance(value, list):
        return [_shape(value[0], depth - 1)] if value else []
    return _TYPES.get(type(value), "number")


def _name(text: str) -> str:
    return text if NAME.fullmatch(text) else _OTHER
