"""What `check` shows of tenants: no token, no key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from app.settings import Settings
    from app.settings.tenants import TenantSettings

HEAD: Final = ("tenant", "agents", "service tokens", "bounds and budgets", "JWT keys")
BOUNDS: Final = ("max_sessions", "sessions_per_minute", "minutes_per_day", "minutes_per_month")


def tenant_rows(settings: Settings) -> list[tuple[str, ...]]:
    """One row for each tenant."""
    return [
        (
            name,
            ", ".join(tenant.agents) or "-",
            str(len(tenant.service_tokens)),
            _bounds(tenant),
            "its own" if tenant.has_keys else "the operator's",
        )
        for name, tenant in settings.tenant_settings.items()
    ]


def _bounds(tenant: TenantSettings) -> str:
    given = ((name, getattr(tenant, name)) for name in BOUNDS)
    return ", ".join(f"{name} {value:g}" for name, value in given if value is not None) or "-"
