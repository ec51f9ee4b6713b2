"""An agent's profile, as an operator writes it in `RELAY_AGENTS`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from app.protocol.principal import CallType
from app.settings.field_types import Upstream  # noqa: TC001 - pydantic reads it at runtime


class RouteSettings(BaseModel):
    """One agent that another one's subjects are spread over."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    agent: str
    weight: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] = 1.0


class AgentSettings(BaseModel):
    """One agent's profile, as an operator writes it. Absent overrides fall back to `RELAY_*`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    call_types: frozenset[CallType] = frozenset(CallType)
    default_call_type: CallType | None = None
    initialize: dict[str, Any] = {}
    client_data_keys: frozenset[str] | Literal["*"] = frozenset()
    phone_numbers: tuple[str, ...] = ()
    tools: frozenset[str] | None = None
    browser_tools: frozenset[str] | Literal["integration"] = frozenset()
    hide: frozenset[str] = frozenset({"toolCall", "toolCallResult"})
    discover: dict[str, Any] = {}
    approve: dict[str, Literal["operator", "user"]] = {}
    sdp_fields: Literal["as_sent", "both"] = "as_sent"
    blackbox_api_key: SecretStr | None = None
    blackbox_url: str | None = None
    upstream: Upstream | None = None
    web_integration_token: SecretStr | None = None
    web_integration_id: str | None = None
    route: tuple[RouteSettings, ...] = ()
    fallback: str | None = None
