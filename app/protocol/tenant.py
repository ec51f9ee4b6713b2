"""What a tenant is to the gateway: a team with its own agents, callers, bounds and budgets; pure.

An agent that a tenant lists belongs to it, and so does every session of that agent. Agents that no
tenant lists belong to the operator, whose tenant is None.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.protocol.principal import Principal

UNBOUND_METHODS: Final = frozenset({"open", "forward"})
"""Ways to authenticate that say nothing of tenants: they let in to every agent that they name."""

DAY: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class TenantLimits:
    """Bounds over all replicas; None is no bound.

    - `max_sessions`: live sessions at once.
    - `sessions_per_minute`: admissions within the last 60 seconds.
    - `minutes_per_day`, `minutes_per_month`: minutes of conversation per UTC day and UTC month.
    - `budget_grace`: seconds that live sessions go on once minutes are used up.
    """

    max_sessions: int | None = None
    sessions_per_minute: int | None = None
    minutes_per_day: float | None = None
    minutes_per_month: float | None = None
    budget_grace: float = 60.0

    @property
    def has_budget(self) -> bool:
        """Whether minutes are bounded."""
        return self.minutes_per_day is not None or self.minutes_per_month is not None


@dataclass(frozen=True, slots=True)
class Tenant:
    """One tenant. `prices` is the cost of one minute by call type, for its usage."""

    name: str
    agents: frozenset[str]
    limits: TenantLimits = TenantLimits()
    prices: Mapping[str, float] = field(default_factory=dict)


def scoped(name: str, tenant: str | None) -> str:
    """A name (a subject, an integration) that another tenant's equal name does not collide with."""
    return name if tenant is None else f"{tenant}\n{name}"


def revocation_names(credential_id: str, tenant: str | None) -> tuple[str, ...]:
    """The names under which a session's credential may be revoked: by the operator, by its tenant.

    A tenant's revocation reaches its own sessions alone, whatever ids it names.
    """
    if tenant is None:
        return (credential_id,)
    return (credential_id, scoped(credential_id, tenant))


def may_use_agent(principal: Principal, owner: str | None) -> bool:
    """Tell whether a credential is good for an agent of `owner`.

    A tenant's credential is good for that tenant's agents alone. The operator's is good for the
    operator's agents, and for a tenant's where it names the agent.
    """
    if principal.tenant is not None or owner is None:
        return principal.tenant == owner
    return principal.agent is not None or principal.method in UNBOUND_METHODS
