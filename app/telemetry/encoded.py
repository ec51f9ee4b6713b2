"""Secrets that are percent-encoded (RFC 3986 §2.1): in part, in either case, or repeatedly."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def encoded_pattern(secrets: Iterable[str]) -> re.Pattern[str] | None:
    """Match every secret with any of its characters encoded, once or over and over; longest first.

    Who encodes decides which characters it escapes and in which case it writes hexadecimal digits:
    a list of forms is never complete.
    """
    known = sorted({secret for secret in secrets if secret}, key=len, reverse=True)
    if not known:
        return None
    return re.compile("|".join("".join(map(_character, secret)) for secret in known))


def _character(character: str) -> str:
    raw = character.encode(errors="surrogatepass")
    escaped = "".join(f"%(?:25)*(?i:{byte:02x})" for byte in raw)
    forms = [escaped, re.escape(character)]  # the longer first: `%25` is a `%`, and nothing is left
    if character == " ":  # as forms of HTML write it
        forms.append(r"\+")
    return f"(?:{'|'.join(forms)})"
