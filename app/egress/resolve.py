"""Name resolution, once per connection, checked before connecting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.network import Resolve, system_resolve

if TYPE_CHECKING:
    from app.egress.addresses import AllowedHosts

__all__ = ["Resolve", "checked_addresses", "system_resolve"]


async def checked_addresses(
    allowed: AllowedHosts, resolve: Resolve, host: str, port: int
) -> tuple[str, ...]:
    """Resolve a host and return its addresses if all are allowed.

    The caller connects to these and never to the name, so that a second DNS answer (rebinding)
    cannot lead elsewhere. Raises OSError or EgressRefused.
    """
    return allowed.check(host, await resolve(host.strip("[]"), port))
