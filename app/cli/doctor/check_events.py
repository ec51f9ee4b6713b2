"""Looking at the lifecycle events that wait for their receivers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, inspect, select

from app.cli.doctor.finding import Finding, fine, note
from app.history.schema import deliveries
from app.settings.event_webhooks import event_webhooks

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncConnection

    from app.history.database import Database
    from app.settings import Settings


async def check_events(settings: Settings, database: Database) -> list[Finding]:
    """Count what waits for each receiver. Raises `HistoryUnavailable`."""
    if not settings.event_webhooks:
        return []
    state, name = deliveries.c.state, deliveries.c.receiver
    counted = select(name, state, func.count()).where(state != "delivered").group_by(name, state)

    async def look(connection: AsyncConnection) -> dict[tuple[str, str], int]:
        if not await connection.run_sync(_is_there):
            return {}
        return {(row[0], row[1]): row[2] for row in await connection.execute(counted)}

    found = await database.run(look)
    findings = []
    for receiver in event_webhooks(settings.event_webhooks):
        subject = f"events to {receiver.receiver} (RELAY_EVENT_WEBHOOKS)"
        waiting = found.get((receiver.receiver, "waiting"), 0)
        given_up = found.get((receiver.receiver, "given_up"), 0)
        seen = f"{waiting} waiting, {given_up} given up"
        advice = "GET /v1/deliveries?status=given_up, then POST /v1/deliveries/{id}/redeliver"
        findings.append(note(subject, seen, advice) if given_up else fine(subject, seen))
    return findings


def _is_there(connection: Connection) -> bool:
    return inspect(connection).has_table(deliveries.name)
