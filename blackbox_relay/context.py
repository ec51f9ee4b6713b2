"""For whom a tool runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from blackbox_relay.principal import CallType, Principal


@dataclass(frozen=True, slots=True)
class ToolContext:
    """For whom a tool runs: nothing here can be forged by a browser or made up by a model.

    `additional_data` is the credential's verified mapping, `call_id` the agent's id of this call.
    """

    session_id: str
    agent: str
    call_type: CallType
    principal: Principal = field(repr=False)
    additional_data: Mapping[str, Any] = field(default_factory=dict, repr=False)
    call_id: str = ""
