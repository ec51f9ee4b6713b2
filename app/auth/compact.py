"""The one text of a compact JWT (RFC 7515 §7.1).

Base64 has several spellings of the same bytes: padding, characters that decoders skip, bits of
the last character that stand for nothing. RFC 7515 §2 allows one, so that a token cannot be
written in another way.
"""

from __future__ import annotations

import re
from typing import Final

# Behind groups of four characters are two or three more or none; the spare bits of the last are 0.
_PART: Final = r"(?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-][AQgw]|[A-Za-z0-9_-]{2}[AEIMQUYcgkosw048])?"
_COMPACT: Final = re.compile(rf"{_PART}\.{_PART}\.{_PART}")


def is_canonical(token: str) -> bool:
    """Tell whether a text is three parts of base64url without padding, as an encoder writes it."""
    return _COMPACT.fullmatch(token) is not None
