"""The one text of a compact JWT (RFC 7515 §7.1).

Base64 has several spellings of the same bytes: padding, characters that decoders skip, bits of the
last character that stand for nothing. RFC 7515 §2 allows one. A token without `jti` is revoked by the
hash of its text, so another text of the same token must not be accepted.
"""

from __future__ import annotations

import re
from typing import Final

# What is left over behind groups of four characters is two or three, the last with its spare bits 0.
_PART: Final = r"(?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-][AQgw]|[A-Za-z0-9_-]{2}[AEIMQUYcgkosw048])?"
_COMPACT: Final = re.compile(rf"{_PART}\.{_PART}\.{_PART}")


def is_canonical(token: str) -> bool:
    """Tell whether a text is three parts of base64url, without padding and as an encoder writes it."""
    return _COMPACT.fullmatch(token) is not None
