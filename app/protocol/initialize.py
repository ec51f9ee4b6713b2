"""What `initialize` says: the operator's template, filled in with who calls and how.

Precedence, later wins: the browser's allowed keys < the agent's template < what the credential
verified. Nothing that a browser sends overrides the operator or the credential.
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from app.protocol.close_codes import FORBIDDEN
from app.protocol.errors import Refusal
from app.protocol.frames import TOOL_CALL, TOOL_CALL_RESULT
from app.protocol.principal import CallType, Principal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.protocol.route import Route

MAX_PHONE_NUMBER = 256


@dataclass(frozen=True, slots=True)
class Profile:
    """What operators say of one agent.

    `initialize` is the template of `request`/`devRequest`, `request_field` the name it goes under,
    `tools` the registered tools it may call (None: all), `hide` the upstream types that a
    browser is not shown. `discover` overrides what widgets are told of the agent. With
    `integration_tools`, `browser_tools` are those that the vendor's web integration lists.
    `all_client_data` lets a browser set any `additionalData` key, `both_sdp_fields` sends each
    offer under both names that the vendor gives it. `approve` names the tools that run only once
    the "user" or an "operator" has approved. `tenant` owns the agent; None: the operator.

    `route` spreads subjects over agents, `fallback` stands in at the dial. Where another agent was
    asked for, `requested_agent` names it, and `served_because` is "route" or "fallback".
    """

    name: str
    call_types: frozenset[CallType] = frozenset(CallType)
    default_call_type: CallType = CallType.CHAT
    request_field: str = "devRequest"
    initialize: Mapping[str, Any] = field(default_factory=dict)
    client_data_keys: frozenset[str] = frozenset()
    phone_numbers: tuple[str, ...] = ()
    tools: frozenset[str] | None = None
    browser_tools: frozenset[str] = frozenset()
    hide: frozenset[str] = frozenset({TOOL_CALL, TOOL_CALL_RESULT})
    discover: Mapping[str, Any] = field(default_factory=dict)
    web_integration_id: str | None = None
    integration_tools: bool = False
    all_client_data: bool = False
    both_sdp_fields: bool = False
    tenant: str | None = None
    route: tuple[Route, ...] = ()
    fallback: Profile | None = field(default=None, repr=False)
    requested_agent: str | None = None
    served_because: str | None = None
    approve: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """What a browser asks for, by its query or by an `initialize` of its own. Unverified.

    `sends_data` says that its `initialize` has an `additionalData` object, which may be empty.
    """

    call_type: str | None = None
    endpoint: str | None = None
    additional_data: Mapping[str, Any] = field(default_factory=dict)
    sends_data: bool = field(default=False, compare=False)

    def merged_with(self, frame: dict[str, Any] | None) -> ClientOptions:
        """Add what the browser's own `initialize` says where the query says nothing."""
        own = {} if frame is None else frame.get("request", frame.get("devRequest"))
        if not isinstance(own, dict):
            return self
        call_type, endpoint, extra = (
            own.get("callType"),
            own.get("endpoint"),
            own.get("additionalData"),
        )
        return ClientOptions(
            self.call_type or (call_type if isinstance(call_type, str) else None),
            self.endpoint or (endpoint if isinstance(endpoint, str) else None),
            extra if isinstance(extra, dict) else self.additional_data,
            sends_data=isinstance(extra, dict),
        )


@dataclass(frozen=True, slots=True)
class ResolvedInitialize:
    """How a conversation begins: settled, allowed, and ready to be sent.

    `ignored_keys` are those of the browser's `additionalData` that the profile does not allow,
    `overridden_call_type` is the one that it asked for where the credential names another.
    """

    call_type: CallType
    endpoint: str | None
    additional_data: Mapping[str, Any]
    request: Mapping[str, Any]
    ignored_keys: tuple[str, ...] = ()
    overridden_call_type: str | None = None


def resolve_initialize(
    profile: Profile, principal: Principal, options: ClientOptions
) -> ResolvedInitialize:
    """Settle a conversation's call type, endpoint and data. Raises `Refusal` (4403)."""
    call_type = _call_type(profile, principal, options)
    endpoint = _endpoint(profile, principal, options) if call_type is CallType.ON_PHONE else None
    request = copy.deepcopy(dict(profile.initialize))
    template = request.get("additionalData") or {}
    additional_data = {
        **{k: v for k, v in options.additional_data.items() if _may_set(profile, k)},
        **template,
        **principal.additional_data,
    }
    request["callType"] = call_type.value
    if endpoint is not None:
        request["endpoint"] = endpoint
    if additional_data or options.sends_data:
        request["additionalData"] = additional_data
    return ResolvedInitialize(
        call_type,
        endpoint,
        {**template, **principal.additional_data},
        request,
        tuple(key for key in options.additional_data if not _may_set(profile, key)),
        _overridden(options, call_type),
    )


def _may_set(profile: Profile, key: str) -> bool:
    return profile.all_client_data or key in profile.client_data_keys


def _overridden(options: ClientOptions, used: CallType) -> str | None:
    """Return the known call type that a browser asked for in vain."""
    asked = options.call_type
    return asked if asked in set(CallType) and asked != used.value else None


def _call_type(profile: Profile, principal: Principal, options: ClientOptions) -> CallType:
    asked = principal.call_type or options.call_type or profile.default_call_type
    try:
        call_type = CallType(asked)
    except ValueError:
        raise Refusal(FORBIDDEN, "There is no such call type.") from None
    if call_type not in profile.call_types:
        raise Refusal(FORBIDDEN, "This call type is not allowed for this agent.")
    return call_type


def _endpoint(profile: Profile, principal: Principal, options: ClientOptions) -> str | None:
    """The number to dial: the credential's, else the template's, else one the profile allows."""
    if principal.endpoint is not None:
        return principal.endpoint
    if isinstance(templated := profile.initialize.get("endpoint"), str):
        return templated
    if options.endpoint is None:
        raise Refusal(FORBIDDEN, "A phone number is missing.")
    if not may_dial(profile, options.endpoint):
        raise Refusal(FORBIDDEN, "This number may not be dialled.")
    return options.endpoint


def may_dial(profile: Profile, number: str) -> bool:
    """Tell whether one of the profile's patterns matches the whole of a number."""
    return len(number) <= MAX_PHONE_NUMBER and any(
        re.fullmatch(pattern, number) for pattern in profile.phone_numbers
    )
