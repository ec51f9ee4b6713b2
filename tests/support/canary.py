"""Looks for secrets in what a process said, in every dress that a secret may wear."""

from __future__ import annotations

import json
import re
from base64 import b64encode, urlsafe_b64encode
from typing import TYPE_CHECKING
from urllib.parse import unquote, unquote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})|\\x([0-9a-fA-F]{2})|\\(.)")
NAMED = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
TIMES = 3


def revealed(text: str, secrets: Mapping[str, str]) -> list[str]:
    """Name each secret that `text` holds, and in which form."""
    dresses = _undressed(text)
    found = []
    for name, secret in secrets.items():
        forms = {"raw": {secret}, "base64": base64_forms(secret), "hex": {secret.encode().hex()}}
        for form, needles in forms.items():
            for dress, plain in dresses.items():
                if any(needle in plain for needle in needles):
                    found.append(f"{name}: {form}, {dress}")
                    break
    return found


def reveals_nothing(where: str, text: str, secrets: Mapping[str, str]) -> None:
    """Raise AssertionError with the first line that holds a secret, the secret left out."""
    found = revealed(text, secrets)
    if not found:
        return
    line = next((line for line in text.splitlines() if revealed(line, secrets)), "(over lines)")
    for name, secret in secrets.items():
        line = line.replace(secret, f"<{name}>")
    raise AssertionError(f"{where} reveals {', '.join(found)}: {line[:600]}")


def base64_forms(secret: str) -> set[str]:
    """The part of a secret's base64 that is the same wherever the secret stands in a text."""
    forms = set()
    for before in range(3):
        raw = b"\0" * before + secret.encode()
        for encode in (b64encode, urlsafe_b64encode):
            text = encode(raw).decode().rstrip("=")
            # Characters that mix in bits of what stands before or after differ from text to text.
            start = -(-before * 8 // 6)
            end = len(raw) * 8 // 6
            forms.add(text[start:end])
    return forms


def strings_of(value: object) -> Iterable[str]:
    """Every string in a JSON value, names included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, child in value.items():
            yield str(key)
            yield from strings_of(child)
    elif isinstance(value, list):
        for child in value:
            yield from strings_of(child)


def _undressed(text: str) -> dict[str, str]:
    """The text as it is, with percent-encoding undone, and with JSON's or Python's escapes undone.

    Encodings may lie over one another (a URL in a JSON text in a representation), so each is undone
    some times, and both in turn.
    """
    dresses = {"as it is": text, "form-encoded": unquote_plus(text)}
    percent, escaped, both = text, text, text
    for time in range(1, TIMES + 1):  # each is looked at: undone too often, it is gone again
        dresses[f"percent-encoded {time}"] = percent = unquote(percent)
        dresses[f"escaped {time}"] = escaped = _unescape(escaped)
        dresses[f"escaped and percent-encoded {time}"] = both = unquote(_unescape(both))
    return dresses


def _unescape(text: str) -> str:
    def plain(found: re.Match[str]) -> str:
        code = found[1] or found[2]
        return chr(int(code, 16)) if code else NAMED.get(found[3], found[3])

    return ESCAPE.sub(plain, text)


def dressings(secret: str) -> dict[str, str]:
    """A secret in the forms that the checker must see through; for its own test."""
    every = "".join(f"%{byte:02X}" for byte in secret.encode())
    return {
        "raw": secret,
        "percent-encoded": every,
        "percent-encoded twice": every.replace("%", "%25"),
        "in JSON": json.dumps({"said": secret}),
        "escaped": "".join(f"\\u{ord(letter):04x}" for letter in secret),
        "in JSON in JSON": json.dumps({"said": json.dumps({"said": secret})}),
        "in a representation": repr(f"it's {secret}"),
        "base64": b64encode(secret.encode()).decode(),
        "base64 behind a name": b64encode(f"relay:{secret}".encode()).decode(),
        "base64 for URLs": urlsafe_b64encode(f"u:{secret}:z".encode()).decode(),
        "hex": secret.encode().hex(),
    }
