"""The audit log's port: who did what to which session."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from time import time
from typing import TYPE_CHECKING, Protocol

import structlog

if TYPE_CHECKING:
    from app.history.audit import AuditLog
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
        shown = {} if actor.subject is None else {"subject": actor.subject}
        log.info("audit", actor=actor.name, action=action, target=target, **shown, **details)


@dataclass(frozen=True, slots=True)
class StoredAudit:
    """Writes each entry as a log line and into the history database."""

    store: AuditLog

    async def record(self, actor: Actor, action: str, target: str, **details: str) -> None:
        """Log and store one entry; a store that does not answer holds nothing up for long."""
        from app.history.audit import AuditEntry  # noqa: PLC0415 - only where a store is

        await LoggedAudit().record(actor, action, target, **details)
        entry = AuditEntry(
            id=secrets.token_hex(12),
            at=round(time(), 3),
            actor=actor.name,
            role=actor.role.name.lower(),
            action=action,
            target=target,
            subject=actor.subject,
            tenant=actor.tenant,
            details=details,
        )
        await self.store.append(entry)


def subject_digest(subject: str) -> str:
    """How the audit log names a person whose history was erased: the name itself is erased, too."""
    return "sha256:" + hashlib.sha256(subject.encode("utf-8", "surrogatepass")).hexdigest()[:32]
