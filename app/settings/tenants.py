"""Tenants as an operator writes them, and what is wrong with them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from app.protocol.principal import CallType  # noqa: TC001 - pydantic reads it at runtime
from app.settings.member_faults import member_faults, unfit_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_TENANTS: Final = 1000
NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
ORIGIN: Final = re.compile(r"https?://(\*\.)?[A-Za-z0-9.\-\[\]:]+")
JWT: Final = ("jwt_secret", "jwt_public_key", "jwt_jwks_url")
MIN_TOKEN: Final = 8


def _listed(value: object) -> object:
    """A comma list as a tuple; a list stays one."""
    if isinstance(value, str):
        return tuple(item for item in (part.strip() for part in value.split(",")) if item)
    return value


def _number(value: object) -> object:
    """A number: `true` would be read as 1."""
    if isinstance(value, bool):
        raise ValueError("should be a number")  # noqa: TRY004 - pydantic wants this one
    return value


Number = BeforeValidator(_number)
Words = Annotated[tuple[str, ...], BeforeValidator(_listed)]
Tokens = Annotated[
    tuple[Annotated[SecretStr, Field(min_length=MIN_TOKEN)], ...], BeforeValidator(_listed)
]
Minutes = Annotated[float, Number, Field(gt=0, le=1e9, allow_inf_nan=False)]
Bound = Annotated[int, Number, Field(ge=1, le=10_000_000)]
Rate = Annotated[int, Number, Field(ge=1, le=100_000)]
Grace = Annotated[float, Number, Field(ge=0, le=86_400, allow_inf_nan=False)]
Price = Annotated[float, Number, Field(ge=0, le=1e9, allow_inf_nan=False)]


class TenantSettings(BaseModel):
    """One tenant. What is absent has no bound, or is as the `RELAY_*` variables say."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    service_tokens: Tokens = ()
    content_tokens: Tokens = ()
    agents: Words = ()
    allowed_origins: Words = ()
    max_sessions: Bound | None = None
    sessions_per_minute: Rate | None = None
    minutes_per_day: Minutes | None = None
    minutes_per_month: Minutes | None = None
    budget_grace: Grace | None = None
    prices: dict[CallType, Price] = {}
    jwt_secret: SecretStr | None = None
    jwt_public_key: SecretStr | None = None
    jwt_jwks_url: str | None = None
    jwt_algorithms: Words = ()
    jwt_issuer: str | None = None
    jwt_audience: str | None = None

    @property
    def has_keys(self) -> bool:
        """Whether its users' JWTs are verified by keys of its own."""
        return any(getattr(self, name) is not None for name in JWT)

    @property
    def secrets(self) -> Iterator[str]:
        """Every secret of this tenant, for redaction."""
        for token in (*self.service_tokens, *self.content_tokens):
            yield token.get_secret_value()
        for key in (self.jwt_secret, self.jwt_public_key):
            if key is not None:
                yield key.get_secret_value()


def read_tenants(written: Mapping[str, Any]) -> tuple[dict[str, TenantSettings], list[str]]:
    """Read every tenant that can be read, and return a fault for every other one.

    A fault names the tenant and the member, no value.
    """
    found: dict[str, TenantSettings] = {}
    faults: list[str] = []
    if len(written) > MAX_TENANTS:
        faults.append(f"RELAY_TENANTS must name at most {MAX_TENANTS} tenants")
    for name, members in written.items():
        if not NAME.fullmatch(str(name)):
            faults.append(unfit_name("RELAY_TENANTS", name, "1 to 63 of a-z 0-9 _ -"))
            continue
        try:
            found[str(name)] = TenantSettings.model_validate(members or {})
        except ValidationError as invalid:
            errors = invalid.errors(include_input=False, include_url=False)
            known = TenantSettings.model_fields
            faults += member_faults("RELAY_TENANTS", str(name), errors, known)
    return found, faults


def tenant_contradictions(
    tenants: Mapping[str, TenantSettings],
    agents: Mapping[str, Any],
    operators: frozenset[str],
    auth: tuple[str, ...],
) -> list[str]:
    """What is wrong between tenants, agents and the operator's own tokens (`operators`)."""
    faults: list[str] = []
    owners: dict[str, str] = {}
    bearers = dict.fromkeys(operators, "RELAY_SERVICE_TOKENS")
    for name, tenant in tenants.items():
        where = f"RELAY_TENANTS: {name}"
        for agent in tenant.agents:
            if agent not in agents:
                faults.append(f"{where}.agents: RELAY_AGENTS has no agent {agent[:64]!r}")
            elif owners.setdefault(agent, name) != name:
                faults.append(f"{where}.agents: {agent} belongs to {owners[agent]} already")
        for token in tenant.service_tokens:
            holder = bearers.setdefault(token.get_secret_value(), name)
            if holder != name:
                faults.append(f"{where}.service_tokens: one is among those of {holder}, too")
        known = {token.get_secret_value() for token in tenant.service_tokens}
        if any(token.get_secret_value() not in known for token in tenant.content_tokens):
            faults.append(f"{where}.content_tokens must be among its service_tokens")
        if any(o != "*" and not ORIGIN.fullmatch(o.rstrip("/")) for o in tenant.allowed_origins):
            faults.append(
                f"{where}.allowed_origins must hold origins such as https://app.example.com, "
                "https://*.example.com or *"
            )
        faults += _keys(where, tenant, auth)
    return faults + _routes(owners, agents)


def _routes(owners: Mapping[str, str], agents: Mapping[str, Any]) -> list[str]:
    """Agents that stand in for others must be of the same tenant."""
    faults = []
    for name, profile in agents.items():
        written = profile if isinstance(profile, dict) else {}
        route = written.get("route")
        others = [("fallback", written.get("fallback"))]
        routes = route if isinstance(route, list) else ()
        others += [("route", each.get("agent")) for each in routes if isinstance(each, dict)]
        for member, other in others:
            is_known = isinstance(other, str) and other in agents
            if is_known and owners.get(str(other)) != owners.get(str(name)):
                faults.append(f"RELAY_AGENTS: {name}.{member} names an agent of another tenant")
    return faults


def _keys(where: str, tenant: TenantSettings, auth: tuple[str, ...]) -> list[str]:
    faults = []
    given = [name for name in JWT if getattr(tenant, name) is not None]
    others = ("jwt_algorithms", "jwt_issuer", "jwt_audience")
    if given and "jwt" not in auth:
        faults.append(f"{where}.{given[0]} needs jwt in RELAY_AUTH")
    if not given and any(getattr(tenant, name) for name in others):
        faults.append(f"{where} needs jwt_secret, jwt_public_key or jwt_jwks_url")
    if tenant.jwt_public_key is not None and tenant.jwt_jwks_url is not None:
        faults.append(f"{where}.jwt_public_key: only one of this and jwt_jwks_url")
    return faults
