"""Where an agent is dialled and by what: its own settings, else those of all agents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import SecretStr

    from app.settings.agents import AgentSettings
    from app.settings.model import Settings


@dataclass(frozen=True, slots=True)
class AgentUpstream:
    """`kind` is "dev" or "webcall", `base` the vendor's `wss://host`.

    `key` is the API key, `token` a web integration's own; `integration` is what tokens are minted
    for by the key.
    """

    kind: str
    base: str
    key: SecretStr | None
    token: SecretStr | None
    integration: str | None

    @property
    def has_credential(self) -> bool:
        """Whether there is what its kind is dialled by."""
        if self.kind == "dev":
            return self.key is not None
        return self.token is not None or (self.integration is not None and self.key is not None)


def upstream_of(settings: Settings, agent: AgentSettings) -> AgentUpstream:
    """What one agent is dialled by."""
    return AgentUpstream(
        agent.upstream or settings.upstream,
        agent.blackbox_url or settings.blackbox_url,
        agent.blackbox_api_key or settings.blackbox_api_key,
        agent.web_integration_token or settings.web_integration_token,
        agent.web_integration_id or settings.web_integration_id,
    )
