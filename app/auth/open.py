"""No authentication: for demos, behind another gate, or where an agent is public."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from app.auth.proxies import rate_limit_key
from app.protocol.principal import Principal

if TYPE_CHECKING:
    from app.auth.connect_request import ConnectRequest, Credential


class Open:
    """Names callers by a hash of their address, the same on every replica, so that caps hold."""

    ambient = True

    def handles(self, credential: Credential | None) -> bool:  # noqa: ARG002 - none is looked at
        """Take everybody, whatever they present."""
        return True

    async def authenticate(
        self,
        request: ConnectRequest,
        credential: Credential | None,  # noqa: ARG002
    ) -> Principal:
        """Return an anonymous principal."""
        digest = hashlib.sha256(f"relay:{rate_limit_key(request.address)}".encode()).hexdigest()
        return Principal(f"anonymous:{digest[:16]}", "open")
