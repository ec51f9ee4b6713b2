"""A slow, strict reading of JSON, written from RFC 8259 by hand with `json`: the reference."""

from __future__ import annotations

import json
import math
from typing import Any

MAX_DEPTH = 64


class NotStrict(ValueError):  # noqa: N818 - a verdict
    """A text that a strict reader refuses."""


def read(payload: bytes) -> dict[str, Any]:
    """Read a frame. Raises `NotStrict`."""
    try:
        text = payload.decode()
        _look_at_depth(text)
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_float=_float,
            parse_int=_int,
        )
    except (ValueError, RecursionError) as wrong:
        raise NotStrict from wrong
    if not isinstance(value, dict):
        raise NotStrict
    kind = value.get("type")
    if not isinstance(kind, str) or not 0 < len(kind) <= 128:
        raise NotStrict
    _look_for_surrogates(value)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    if len(set(keys)) != len(keys):
        raise NotStrict
    return dict(pairs)


def _constant(_: str) -> Any:
    raise NotStrict


def _int(text: str) -> int:
    """Refuse what a reader with doubles alone takes for an infinity (RFC 8259 §6)."""
    _float(text)
    return int(text)


def _float(text: str) -> float:
    if math.isinf(float(text)):
        raise NotStrict
    return float(text)


def _look_at_depth(text: str) -> None:
    depth, inside, escaped = 0, False, False
    for character in text:
        if inside:
            inside = escaped or character != '"'
            escaped = character == "\\" and not escaped
        elif character == '"':
            inside = True
        elif character in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise NotStrict
        elif character in "]}":
            depth -= 1


def _look_for_surrogates(value: Any) -> None:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as wrong:
            raise NotStrict from wrong
    elif isinstance(value, dict):
        for key, child in value.items():
            _look_for_surrogates(key)
            _look_for_surrogates(child)
    elif isinstance(value, list):
        for child in value:
            _look_for_surrogates(child)
