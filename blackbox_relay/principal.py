"""Who a browser is, once a credential has been verified."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class CallType(StrEnum):
    """The vendor's three kinds of conversation (S D)."""

    CHAT = "chat"
    WEB_CALL = "webCall"
    ON_PHONE = "onPhone"


@dataclass(frozen=True, slots=True)
class Principal:
    """What a verified credential says; none of it can be forged by a browser.

    `subject` names the caller for caps and tools. `agent`, `call_type`, `endpoint` and
    `origin` are set where the credential pins them. `additional_data` wins over everything
    else that goes into `initialize`. `expires_at` is in Unix seconds, and is enforced during
    the session. `credential_id` identifies the credential for revocation without being it.
    `tenant` is the one that issued the credential, None for the gateway's operator.
    """

    subject: str
    method: str
    agent: str | None = None
    call_type: CallType | None = None
    endpoint: str | None = None
    additional_data: Mapping[str, Any] = field(default_factory=dict)
    origin: str | None = None
    expires_at: float | None = None
    credential_id: str | None = None
    tenant: str | None = None
