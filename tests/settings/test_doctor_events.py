"""`doctor` and `check --connect` say how many events wait, by receiver."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from app.cli.doctor.check_events import check_events
from app.cli.doctor.check_stores import check_stores
from app.cli.doctor.finding import Severity
from app.history.database import Database
from app.history.lifecycle.stored import StoredEvents, messages_of
from app.history.results.database_outbox import DatabaseOutbox
from app.settings import load
from tests.history.events import delivery
from tests.history.feed import NOW

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
RECEIVERS = (
    f'[{{"name": "a", "url": "https://a.example", "secret": "{SECRET}"}},'
    f' {{"name": "b", "url": "https://b.example", "secret": "{SECRET}"}}]'
)
GIVEN = {"RELAY_BLACKBOX_API_KEY": "key", "RELAY_EVENT_WEBHOOKS": RECEIVERS}


async def test_what_waits_and_what_is_given_up_is_told_by_receiver(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/history.db"
    settings = load(GIVEN | {"RELAY_HISTORY_URL": url})
    database = Database(SecretStr(url))
    assert [f.seen for f in await check_events(settings, database)] == [
        "0 waiting, 0 given up"
    ] * 2  # before its tables are there, too
    store = StoredEvents(database, "r", on_stored=lambda _: None, on_dropped=lambda _: None)
    store.keep([delivery("a", 1), delivery("a", 2, "s2"), delivery("b", 1)])
    await store.flush(20)
    outbox = DatabaseOutbox(database, lambda: NOW, "r", messages=messages_of("a"))
    gone = (await outbox.claim(1))[0]
    assert not await outbox.failed(gone, "status_410", final=True)
    first, second = await check_events(settings, database)
    assert (first.severity, first.seen) == (Severity.NOTE, "1 waiting, 1 given up")
    assert "redeliver" in first.advice
    assert (second.severity, second.seen) == (Severity.FINE, "1 waiting, 0 given up")
    await database.close()
    found = [f.subject for f in await check_stores(settings)]
    assert "events to a (RELAY_EVENT_WEBHOOKS)" in found


@pytest.mark.parametrize("is_configured", [True, False])
async def test_events_in_memory_are_noted_where_there_are_receivers(is_configured: bool) -> None:
    given = GIVEN if is_configured else {"RELAY_BLACKBOX_API_KEY": "key"}
    found = await check_stores(load(given))
    assert any("wait in memory" in f.seen for f in found) is is_configured
