"""What belongs to a tenant, and whose credentials open it."""

from __future__ import annotations

import pytest

from app.protocol.principal import Principal
from app.protocol.tenant import TenantLimits, may_use_agent, revocation_names, scoped


@pytest.mark.parametrize(
    ("limits", "has_budget"),
    [
        (TenantLimits(), False),
        (TenantLimits(max_sessions=1, sessions_per_minute=1), False),
        (TenantLimits(minutes_per_day=1), True),
        (TenantLimits(minutes_per_month=0), True),
    ],
)
def test_minutes_alone_are_a_budget(limits: TenantLimits, *, has_budget: bool) -> None:
    assert limits.has_budget is has_budget


def test_equal_names_of_two_tenants_and_the_operator_are_three() -> None:
    names = {scoped("ann", None), scoped("ann", "acme"), scoped("ann", "other")}
    assert len(names) == 3
    assert scoped("ann", None) == "ann"


def test_a_credential_is_revoked_by_the_operator_or_by_its_own_tenant() -> None:
    assert revocation_names("c1", None) == ("c1",)
    assert revocation_names("c1", "acme") == ("c1", scoped("c1", "acme"))
    assert scoped("c1", "other") not in revocation_names("c1", "acme")


@pytest.mark.parametrize(
    ("method", "tenant", "agent", "owner", "may"),
    [
        ("ticket", None, None, None, True),
        ("ticket", "acme", None, "acme", True),
        ("ticket", "acme", "support", "other", False),
        ("ticket", "acme", None, None, False),
        ("ticket", None, None, "acme", False),
        ("ticket", None, "support", "acme", True),
        ("jwt", None, None, "acme", False),
        ("open", None, None, "acme", True),
        ("forward", None, None, "acme", True),
    ],
)
def test_who_may_use_an_agent(
    method: str, tenant: str | None, agent: str | None, owner: str | None, *, may: bool
) -> None:
    principal = Principal("ann", method=method, tenant=tenant, agent=agent)
    assert may_use_agent(principal, owner) is may
