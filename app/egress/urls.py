"""URLs that an operator writes for requests of the gateway's."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from pydantic import SecretStr


def http_url(value: SecretStr, advice: str) -> SecretStr:
    """Return an http or https URL without credentials; raises ValueError, fit to be shown.

    `advice` says to whom wrote a credential into it where that belongs.
    """
    try:
        parts = urlsplit(value.get_secret_value())
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # Its text repeats the URL.
        usable = False
    if not usable:
        raise ValueError("is no http or https URL")
    if parts.username is not None or parts.password is not None:
        raise ValueError(f"holds a credential; {advice}")
    return value
