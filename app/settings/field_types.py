"""The types of variables: how their text is read, and within which bounds."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import BeforeValidator, ByteSize, Field, SecretStr
from pydantic_settings import NoDecode

from app.protocol.redaction import split_rules

MAX_CONCURRENCY: Final = 1_000_000


def _items(value: object) -> object:
    """A comma list as a tuple; blanks around and empty items are dropped."""
    if isinstance(value, str):
        return tuple(item for item in (part.strip() for part in value.split(",")) if item)
    return value


def mapping(value: object) -> object:
    """A JSON or YAML text as a mapping."""
    if isinstance(value, str):
        try:
            value = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ValueError("is neither JSON nor YAML") from None
        if not isinstance(value, dict):
            raise ValueError("must be a mapping of names to definitions")  # noqa: TRY004
    return value


def _rules(value: object) -> object:
    """A comma list of rules, in which a pattern may hold commas."""
    return split_rules(value) if isinstance(value, str) else value


Rules = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_rules)]
Items = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_items)]
Secrets = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_items)]
Mapped = Annotated[dict[str, Any], NoDecode, BeforeValidator(mapping)]
Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=10_000_000)]
Size = Annotated[ByteSize, Field(ge=1024, le=1 << 30)]
Port = Annotated[int, Field(ge=0, le=65_535)]
Upstream = Literal["dev", "webcall"]


def _bound(value: object) -> object:
    """A whole number, or `auto`."""
    if value is None or value == "auto":
        return value
    try:
        number = int(str(value))
    except ValueError:
        number = 0
    if not 1 <= number <= MAX_CONCURRENCY:
        raise ValueError(f"must be auto, or a whole number from 1 to {MAX_CONCURRENCY}")
    return number


Bound = Annotated[int | Literal["auto"] | None, BeforeValidator(_bound)]
