"""What there is of each agent beside its profile, and how it is made for other agents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import SecretStr

    from app.bootstrap.live import LiveMapping
    from app.bootstrap.outbound import Outbound
    from app.relay.dependencies import RelayDependencies
    from app.settings import Settings
    from app.upstream.endpoint import Endpoint

Dependencies = dict[str, "RelayDependencies"]


@dataclass(frozen=True, slots=True)
class AgentParts:
    """`by_token` are the endpoints dialled by a token, `accounts` the vendor's URL and API key.

    `make` makes the dependencies of all agents from settings and endpoints.
    """

    dependencies: LiveMapping[str, RelayDependencies]
    make: Callable[[Settings, Mapping[str, Endpoint]], Dependencies]
    by_token: LiveMapping[str, Endpoint]
    accounts: LiveMapping[str, tuple[str, SecretStr]]
    out: Outbound
