"""How an operator writes the receivers of lifecycle events (RELAY_EVENT_WEBHOOKS)."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
)

from app.egress.urls import http_url
from app.history.results.sender import signing_key
from app.relay.lifecycle import EventType

MAX_RECEIVERS: Final = 32
MAX_SECRETS: Final = 4
NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def _url(value: SecretStr) -> SecretStr:
    """Return an http or https URL without credentials; raises ValueError, fit to be shown."""
    return http_url(value, "the signature tells the receiver who sends")


def _secret(value: SecretStr) -> SecretStr:
    if signing_key(value) is None:
        raise ValueError("must be base64 of 16 bytes or more (`whsec_…`)")
    return value


def _name(value: str) -> str:
    if not NAME.fullmatch(value):
        raise ValueError("must be 1 to 64 of A-Z a-z 0-9 _ . -")
    return value


def _one_or_more(value: object) -> object:
    """One secret as a list of it."""
    return [value] if isinstance(value, str) else value


Secret = Annotated[SecretStr, AfterValidator(_secret)]


class EventWebhookSpec(BaseModel):
    """One receiver as written. With several secrets each signs, the first is the newest."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: Annotated[SecretStr, AfterValidator(_url)]
    secret: Annotated[
        tuple[Secret, ...],
        BeforeValidator(_one_or_more),
        Field(min_length=1, max_length=MAX_SECRETS),
    ]
    events: Annotated[frozenset[EventType], Field(min_length=1)] | Literal["*"] = "*"
    tenant: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    name: Annotated[str, AfterValidator(_name)] | None = None

    @property
    def receiver(self) -> str:
        """Its name: what was written, or the host with a hash of URL and tenant."""
        if self.name is not None:
            return self.name
        url = self.url.get_secret_value()
        known = hashlib.sha256(f"{url}\0{self.tenant or ''}".encode()).hexdigest()[:8]
        return f"{urlsplit(url).hostname}-{known}"


def event_webhooks(written: list[Any]) -> list[EventWebhookSpec]:
    """Read the receivers; `load` has checked them. Raises ValidationError for others."""
    return [EventWebhookSpec.model_validate(entry) for entry in written]


def event_webhook_faults(written: list[Any]) -> list[str]:
    """Return a line for every fault: which entry, which member, and what is wrong."""
    variable = "RELAY_EVENT_WEBHOOKS"
    if len(written) > MAX_RECEIVERS:
        return [f"{variable}: at most {MAX_RECEIVERS} receivers are supported"]
    faults: list[str] = []
    seen: dict[str, int] = {}
    for position, entry in enumerate(written, 1):
        where = f"{variable}: entry {position}"
        if not isinstance(entry, dict):
            faults.append(f"{where}: must be an object with url and secret")
            continue
        try:
            spec = EventWebhookSpec.model_validate(entry)
        except ValidationError as invalid:
            faults += list(dict.fromkeys(f"{where}: {fault}" for fault in _faults(invalid)))
            continue
        first = seen.setdefault(spec.receiver, position)
        if first != position:
            faults.append(
                f"{where}: name: is that of entry {first}, or both have one url and tenant"
            )
    return faults


def _faults(invalid: ValidationError) -> list[str]:
    """Return `member: what is wrong` for each fault, without values."""
    found = []
    for error in invalid.errors(include_url=False, include_context=False, include_input=False):
        member = str(error["loc"][0])
        if member == "events":
            known = ", ".join(EventType)
            found.append(f'events: must be "*" or a list of {known}')
            continue
        place = ".".join(str(part) for part in error["loc"])
        message = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
        if error["type"] == "extra_forbidden":
            message = f"unknown; members are {', '.join(EventWebhookSpec.model_fields)}"
        elif error["type"] == "missing":
            message = "is missing"
        found.append(f"{place}: {message}")
    return found
