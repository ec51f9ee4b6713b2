"""The audit log's port: who did what to which session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import structlog

if TYPE_CHECKING:
    from app.web.actor import Actor

log = structlog.get_logger(__name__)


class Audit(Protocol):
    """Where actions of backends and operators are kept."""

    async def record(self, actor: Actor, action: str, target: str, **details: str) -> None:
        """Note that `actor` did `action` to `target` (a session's or conversation's id).

        `action` is of a closed set: `session.end`, `session.message`, `takeover.start`, … `details`
        hold no content and no secret.
        """
        ...


class LoggedAudit:
    """Writes each entry as a log line: what there is where no store keeps them."""

    async def record(self, actor: Actor, action: str, target: str, **details: str) -> None:
        """Log one entry."""
        log.info("audit", actor=actor.name, action=action, target=target, **details)
