"""What a backend sends to start calls, and what it is told of them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from time import time
from typing import Annotated, Any, Final

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from app.protocol.call_record import CallRecord, CallStatus
from app.web.bodies import JsonObject
from app.web.times import with_zone

BACKEND = "backend"
MAX_BULK: Final = 100
ZONE: Final = re.compile(r"[A-Za-z0-9_+-]{1,32}(?:/[A-Za-z0-9_+-]{1,32}){0,2}")


class OutboundConfig(BaseModel):
    """The vendor's `overrideOutboundConfig`; members that the gateway does not know pass."""

    model_config = ConfigDict(extra="allow", populate_by_name=True)

    phone_number: Annotated[str | None, Field(alias="phoneNumber", max_length=256)] = None
    credentials_id: Annotated[str | None, Field(alias="credentialsId", max_length=256)] = None
    display_name: Annotated[str | None, Field(alias="displayName", max_length=256)] = None


class CallBody(BaseModel):
    """Whom to call, by which agent (else `default`, or a tenant's first), and what it is told.

    The last four are the vendor's `priority`, `callDeadline`, `timezone` and
    `overrideOutboundConfig`, and go into `devRequest`.
    """

    model_config = ConfigDict(extra="forbid")

    endpoint: Annotated[str, Field(min_length=1, max_length=256)]
    agent: Annotated[str | None, Field(max_length=64)] = None
    subject: Annotated[str, Field(min_length=1, max_length=256)] = BACKEND
    additional_data: JsonObject = {}
    priority: Annotated[int | None, Field(ge=0, le=1_000_000)] = None
    call_deadline: Annotated[AwareDatetime | None, BeforeValidator(with_zone)] = None
    timezone: str | None = None
    override_outbound_config: OutboundConfig | None = None

    @field_validator("timezone")
    @classmethod
    def _is_zone(cls, value: str | None) -> str | None:
        if value is not None and not ZONE.fullmatch(value):
            raise ValueError("is no IANA time zone such as Europe/Berlin")
        return value

    @field_validator("call_deadline")
    @classmethod
    def _is_to_come(cls, value: datetime | None) -> datetime | None:
        if value is not None and value.timestamp() <= time():
            raise ValueError("has passed")
        return value

    def vendor_fields(self) -> dict[str, Any]:
        """What goes into `devRequest` beside endpoint and data."""
        config = self.override_outbound_config
        found = {
            "priority": self.priority,
            "callDeadline": None if self.call_deadline is None else self.call_deadline.isoformat(),
            "timezone": self.timezone,
            "overrideOutboundConfig": None
            if config is None
            else config.model_dump(by_alias=True, exclude_none=True),
        }
        return {name: value for name, value in found.items() if value is not None}


class CallAnswer(BaseModel):
    """The session: watched and ended like any other."""

    session_id: str


class BulkBody(BaseModel):
    """Several calls, each as for `POST /v1/calls`."""

    model_config = ConfigDict(extra="forbid")

    calls: Annotated[list[CallBody], Field(min_length=1, max_length=MAX_BULK)]


class BulkResult(BaseModel):
    """What became of one call of a bulk: its session, or the problem that kept it from starting."""

    status: int
    session_id: str | None = None
    problem: dict[str, Any] | None = None


class BulkAnswer(BaseModel):
    """One result for each call, in their order."""

    results: list[BulkResult]


class CallView(BaseModel):
    """A call, while it is queued or running and for a day after its end.

    `vendor_call_id`, `inspector_url` and `recording_url` are null until the vendor tells them.
    `completed_time` is null while the call goes on, and where its replica was lost with it.
    """

    session_id: str
    agent: str
    endpoint: str
    status: CallStatus
    vendor_call_id: str | None
    inspector_url: str | None
    recording_url: str | None
    created_time: datetime
    completed_time: datetime | None
    error: str | None


def shown(record: CallRecord) -> CallView:
    """What a backend is told of a call."""
    completed = record.completed_at
    return CallView(
        session_id=record.session_id,
        agent=record.agent,
        endpoint=record.endpoint,
        status=record.status,
        vendor_call_id=record.vendor_call_id,
        inspector_url=record.inspector_url,
        recording_url=record.recording_url,
        created_time=datetime.fromtimestamp(record.created_at, UTC),
        completed_time=None if completed is None else datetime.fromtimestamp(completed, UTC),
        error=record.error,
    )
