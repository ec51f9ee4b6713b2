"""How an operator writes an HTTP tool (RELAY_HTTP_TOOLS)."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
)
from standardwebhooks.webhooks import Webhook

from app.egress.urls import http_url
from blackbox_relay.arguments import Arguments

HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
HEADER_VALUE: Final = re.compile(r"[\t\x20-\x7e]*")
OURS: Final = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "content-type",
        "host",
        "idempotency-key",
        "transfer-encoding",
        "webhook-id",
        "webhook-signature",
        "webhook-timestamp",
    }
)


def safe_url(value: SecretStr) -> SecretStr:
    """Return an http or https URL without credentials; raises ValueError, fit to be shown."""
    return http_url(value, "put it into headers")


def webhook_secret(value: SecretStr) -> SecretStr:
    """Return a secret that Standard Webhooks can sign with; raises ValueError, fit to be shown."""
    try:
        Webhook(value.get_secret_value())
    except Exception:  # noqa: BLE001 - the library raises several, one with the secret's text
        raise ValueError("is no Standard Webhooks secret (whsec_ and base64)") from None
    return value


def safe_headers(value: dict[str, SecretStr]) -> dict[str, SecretStr]:
    """Return headers that may be sent beside ours; raises ValueError, fit to be shown."""
    for name, content in value.items():
        if not HEADER_NAME.fullmatch(name) or not HEADER_VALUE.fullmatch(
            content.get_secret_value()
        ):
            raise ValueError("holds what cannot be a header")
        if name.lower() in OURS:
            raise ValueError(f"may not set {name.lower()}")
    return value


def _schema(value: dict[str, Any]) -> dict[str, Any]:
    if unreadable := Arguments(value).unreadable:
        raise ValueError(f"a regular expression that RE2 cannot match at {unreadable[0]}")
    return value


class HttpToolSpec(BaseModel):
    """One HTTP tool as written. `timeout` is in seconds, for the call with all its attempts."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: Annotated[SecretStr, AfterValidator(safe_url)]
    secret: Annotated[SecretStr, AfterValidator(webhook_secret)] | None = None
    headers: Annotated[dict[str, SecretStr], AfterValidator(safe_headers)] = Field(
        default_factory=dict
    )
    timeout: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    retries: Annotated[int, Field(ge=0, le=10)] = 2
    fallback_result: Any = Field(default=None, repr=False)
    parameters: Annotated[dict[str, Any], AfterValidator(_schema)] | None = None
    description: str = ""

    @property
    def origin(self) -> str:
        """Scheme, host and port: a path or query may hold a secret."""
        parts = urlsplit(self.url.get_secret_value())
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{parts.hostname}{port}"


def faults_of(error: ValidationError) -> list[str]:
    """Return `.field: what is wrong` for each fault of what an operator wrote, without values."""
    return [
        "".join(f".{part}" for part in fault["loc"])
        + ": "
        + fault["msg"].removeprefix("Value error, ")
        for fault in error.errors(include_url=False, include_context=False, include_input=False)
    ]
