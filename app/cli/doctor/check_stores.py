"""Looking at what the gateway keeps things in: the shared state and the history."""

from __future__ import annotations

import os
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from app.cli.doctor.finding import Finding, fault, fine, note
from app.protocol.errors import StateReadOnly, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.ext.asyncio import AsyncConnection

    from app.history.database import Database
    from app.settings import Settings
    from app.state.redis_client import RedisClient

STATE: Final = "state (RELAY_STATE_URL)"
EVENTS: Final = "events (RELAY_EVENT_WEBHOOKS)"
HISTORY: Final = "history (RELAY_HISTORY_URL)"
PATIENCE: Final = 3.0
"""Seconds that a store may take to answer; in service it has less."""

OLDEST: Final = (6, 2)
SETTLED: Final = (
    "SELECT current_setting('server_version'), current_setting('transaction_read_only') = 'on', "
    "coalesce(has_schema_privilege(current_schema(), 'CREATE'), false), "
    "to_regclass('alembic_version') IS NOT NULL"
)


async def check_stores(settings: Settings) -> list[Finding]:
    """Dial each store once, as a gateway would."""
    return [*await _state(settings), *await _history(settings)]


async def _state(settings: Settings) -> list[Finding]:
    url = settings.state_url.get_secret_value()
    if url.startswith("memory:"):
        return [fine(STATE, "in memory, for one replica alone")]
    from app.state.connector import Connector  # noqa: PLC0415 - only where Redis is configured
    from app.state.diagnosis import explain  # noqa: PLC0415
    from app.state.keys import Keys  # noqa: PLC0415
    from app.state.redis_client import RedisClient  # noqa: PLC0415

    connector = Connector(url)
    keys = Keys("relay", spread=connector.is_cluster)
    store = RedisClient(connector, timeout=PATIENCE, connections=1, on_error=lambda _: None)
    begun = monotonic()
    try:
        await store.call("ping", "PING")
        took = (monotonic() - begun) * 1000
        names = [keys.check(number) for number in range(keys.shards)]
        await store.run("check", [("SET", name, b"1", "PX", 1000) for name in names])
        await store.call("check", "EVAL", "return redis.call('EXISTS', KEYS[1])", 1, names[0])
    except StateReadOnly:
        advice = "RELAY_STATE_URL must lead to the primary, or name its Sentinels"
        return [fault(STATE, "a read-only replica answers", advice)]
    except StoreUnavailable as lost:
        kind = type(lost.__cause__).__name__
        advice = explain(lost.__cause__) or "check host, port, TLS (rediss://) and firewall"
        return [fault(STATE, kind, advice)]
    else:
        return [
            fine(STATE, f"takes writes; first answer after {took:.0f} ms"),
            *await _facts(store),
        ]
    finally:
        await store.close()


async def _facts(store: RedisClient) -> list[Finding]:
    """What Redis says of itself, where it may be asked."""
    try:
        told: bytes | Mapping[str, Any] = await store.call("check", "INFO")
    except StoreUnavailable:
        return []
    facts = told if not isinstance(told, bytes) else {}
    found = []
    version = str(facts.get("redis_version", ""))
    if version and tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        found.append(fault(STATE, f"Redis {version}", "Redis 6.2 or later, or Valkey"))
    if facts.get("aof_enabled") == 0:
        found.append(
            note(STATE, "keeps no append-only file", "appendonly yes, or revocations may be lost")
        )
    return found


async def _history(settings: Settings) -> list[Finding]:
    if settings.history_url is None:
        return _events_in_memory(settings)
    absent = _absent_file(settings.history_url.get_secret_value())
    if absent is not None:
        return [absent]
    from app.cli.doctor.check_events import check_events  # noqa: PLC0415 - only with history
    from app.history.database import Database  # noqa: PLC0415
    from app.history.errors import HistoryUnavailable, Unstorable  # noqa: PLC0415

    database = Database(settings.history_url, deadline=PATIENCE, connections=1)
    try:
        return [await _database(database), *await check_events(settings, database)]
    except HistoryUnavailable as lost:
        return [fault(HISTORY, str(lost), lost.advice or "see the database's own log")]
    except Unstorable as refused:
        return [fault(HISTORY, str(refused), "see the database's own log")]
    finally:
        await database.close()


def _events_in_memory(settings: Settings) -> list[Finding]:
    if not settings.event_webhooks:
        return []
    advice = "set RELAY_HISTORY_URL if none may be lost when a replica crashes"
    return [note(EVENTS, "wait in memory", advice)]


async def _database(database: Database) -> Finding:
    async def look(connection: AsyncConnection) -> tuple[Any, ...]:
        return tuple((await connection.exec_driver_sql(SETTLED)).one())

    if not database.is_postgresql:
        await database.run(lambda c: c.exec_driver_sql("SELECT 1"), write=True)
        return fine(HISTORY, "the file takes writes")
    begun = monotonic()
    version, read_only, may_create, has_tables = await database.run(look)
    took = (monotonic() - begun) * 1000
    if read_only:
        advice = "RELAY_HISTORY_URL must lead to the primary (target_session_attrs=read-write)"
        return fault(HISTORY, f"PostgreSQL {version} is read-only", advice)
    if not has_tables and not may_create:
        advice = "GRANT CREATE ON SCHEMA public TO the role, or let it own the database"
        return fault(HISTORY, "the role may not create its tables", advice)
    return fine(HISTORY, f"PostgreSQL {version}, first answer after {took:.0f} ms")


def _absent_file(url: str) -> Finding | None:
    """What there is to say of a file that is to be made; None if it is there, or no file."""
    path = Path(url.partition(":///")[2].partition("?")[0])
    if not url.startswith("sqlite") or path.exists():
        return None
    if path.parent.is_dir() and os.access(path.parent, os.W_OK | os.X_OK):
        return fine(HISTORY, "the file will be made when the gateway starts")
    return fault(HISTORY, "the file's directory is not there, or not writable", "make it")
