"""Variables that are a JSON or YAML list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import yaml
from pydantic import BeforeValidator
from pydantic_settings import NoDecode

if TYPE_CHECKING:
    from collections.abc import Iterable


def _list(value: object) -> object:
    """A JSON or YAML text as a list."""
    if isinstance(value, str):
        try:
            value = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ValueError("is neither JSON nor YAML") from None
        if not isinstance(value, list):
            raise ValueError("must be a JSON list")  # noqa: TRY004 - pydantic's own kind
    return value


Listed = Annotated[list[Any], NoDecode, BeforeValidator(_list)]


def secrets_of(entries: Iterable[Any]) -> list[str]:
    """Every `secret` of a list of objects, which may be one or a list of them."""
    found: list[str] = []
    for entry in entries:
        secret = entry.get("secret") if isinstance(entry, dict) else None
        found += map(str, secret if isinstance(secret, list) else filter(None, [secret]))
    return found
