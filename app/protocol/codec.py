"""Bytes to frames, strictly: what cannot be judged for certain is not let through.

JSON parsers disagree about duplicate keys, NaN, lone surrogates and depth, and a frame that the
gateway reads one way and the vendor another is a hole. orjson refuses NaN, infinities, surrogates
and bad UTF-8; the rest is checked here. What passes is forwarded as it came, never re-serialised.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from orjson import JSONDecodeError, dumps, loads

from blackbox_relay import exact_json
from blackbox_relay.errors import RelayError

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_DEPTH: Final = 64
CONTAINERS: Final = (dict, list)
MAX_TYPE: Final = 128


class DecodeError(RelayError):
    """A frame cannot be judged; the message is a constant sentence for its sender."""


def decode(payload: bytes) -> dict[str, Any]:
    """Read one upstream frame: a JSON object with a `type`. Raises `DecodeError`."""
    try:
        frame = loads(payload)
    except JSONDecodeError:
        raise DecodeError("The message is not valid JSON.") from None
    return _checked(frame)


def _checked(frame: Any) -> dict[str, Any]:
    """Return a frame if it is an object with a type. Raises `DecodeError`."""
    if type(frame) is not dict:
        raise DecodeError("The message is not a JSON object.")
    kind = frame.get("type")
    if type(kind) is not str or not kind or len(kind) > MAX_TYPE:
        raise DecodeError("The message has no type.")
    found: dict[str, Any] = frame
    return found


def decode_strictly(payload: bytes) -> dict[str, Any]:
    """Read one browser frame; beyond `decode`, refuse duplicate keys and depth over 64.

    A colon that stands in a string as itself, and not as an escape, can be counted: so nearly
    every frame is done here, without a second parser.
    """
    frame = decode(payload)
    if not _flat(frame) and depth(frame) > MAX_DEPTH:
        raise DecodeError("The message is nested too deeply.")
    if b"\\u003" in payload:  # a colon by its number, maybe
        json.loads(payload, object_pairs_hook=_object)
    elif payload.count(b":") != _colons(frame):
        raise DecodeError("The message names a key twice.")
    return frame


def decode_beyond_doubles(payload: bytes) -> dict[str, Any]:
    """Read an upstream frame with a number that no double can hold, which `decode` refuses.

    Such a number is an integer with all of its digits, or an infinity where it has too many to be
    kept. Without this the agent would wait in vain for a tool's answer. Raises `DecodeError`.
    """
    try:
        return _checked(exact_json.loads_all(payload))
    except ValueError:
        raise DecodeError("The message is not valid JSON.") from None


def with_every_digit(frame: dict[str, Any], payload: bytes) -> dict[str, Any]:
    """Return a frame that `decode` read with the integers as they were written.

    orjson reads one beyond 64 bits as a double; only a frame that may have such is read anew.
    """
    if not exact_json.may_be_changed(payload):
        return frame
    exact: dict[str, Any] = exact_json.loads_all(payload)
    return exact


def _flat(frame: dict[str, Any]) -> bool:
    """Tell whether no member of a frame holds others, as in nearly every one."""
    for child in frame.values():  # noqa: SIM110 - compiled, a loop is quicker than a generator
        if type(child) is dict or type(child) is list:
            return False
    return True


def depth(value: dict[str, Any]) -> int:
    """How deep an object of JSON nests, counted without recursion.

    Parsers let through what serializers refuse: orjson reads 1,024 levels and writes 254, and how
    many the standard library's can bear depends on Python's version.
    """
    levels = 0
    level: list[Any] = [value]
    while level:
        levels += 1
        level = [
            child
            for item in level
            for child in (item.values() if type(item) is dict else item)
            if type(child) in CONTAINERS
        ]
    return levels


def _colons(value: Any) -> int:
    """How many colons the JSON of a value has, if none was written as an escape.

    Each stands behind a key or within a string that the parser kept. A key that came twice lost
    its first value, and leaves at least one colon over. This costs far less than a second parser.
    """
    count = 0
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            count += item.count(":")
        elif isinstance(item, dict):
            count += len(item)
            for key, child in item.items():
                count += key.count(":")
                if isinstance(child, str):
                    count += child.count(":")
                else:
                    waiting.append(child)
        elif isinstance(item, list):
            waiting.extend(item)
    return count


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise DecodeError("The message names a key twice.")
    return found


def append_members(payload: bytes, missing: Mapping[str, Any]) -> bytes:
    """Add members to the end of an object without touching what is there."""
    if not missing:
        return payload
    return payload.rstrip()[:-1] + b"," + dumps(dict(missing))[1:]
