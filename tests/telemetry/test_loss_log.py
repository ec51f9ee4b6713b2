"""A flood of losses is told by a few lines, and every loss is in one of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from pydantic import SecretStr

from app.history.audit import MAX_WAITING, AuditEntry, AuditLog
from app.history.database import Database
from app.history.message import Message
from app.history.results.memory_outbox import MemoryOutbox
from app.telemetry.loss_log import LossLog
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Lines = list[Any]


@pytest.fixture
def lines() -> Iterator[Lines]:
    with structlog.testing.capture_logs() as captured:
        yield captured


def loss_log(every: float, clock: Any) -> LossLog:
    return LossLog(structlog.get_logger("t"), "things_lost", "things", every=every, clock=clock)


def test_the_first_is_told_at_once_and_the_rest_by_the_next_line(lines: Lines) -> None:
    now = 0.0
    log = loss_log(10.0, lambda: now)
    for number in range(1000):
        log.lost(cause=f"c{number}")
    assert lines == [
        {"event": "things_lost", "log_level": "error", "things": 1, "total": 1, "cause": "c0"}
    ]
    now = 10.0
    log.lost(2, cause="last")
    assert (lines[1]["things"], lines[1]["total"], lines[1]["cause"]) == (1001, 1002, "last")
    log.lost()
    log.flush()
    log.flush()
    assert [(line["things"], line["total"]) for line in lines[2:]] == [(1, 1002 + 1)]


async def test_what_is_lost_last_is_told_without_another_loss(lines: Lines) -> None:
    log = loss_log(0.05, asyncio.get_running_loop().time)
    for _ in range(50):
        log.lost()
    await until(lambda: sum(line["things"] for line in lines) == 50)
    assert len(lines) == 2


async def test_an_outbox_in_memory_tells_of_a_flood_by_two_lines(lines: Lines) -> None:
    dropped: list[int] = []
    outbox = MemoryOutbox(
        lambda: 1.0, tries=1, most=10, on_dropped=dropped.append, kind="event", receiver="crm"
    )
    for number in range(500):
        outbox.keep(Message(f"m{number}", f"c{number}", 0.0, 100.0, b"{}"))
    for queued in await outbox.claim(10):
        await outbox.failed(queued, "timeout")
    outbox.discard()
    told = {name: [x for x in lines if x["event"] == name] for name in {x["event"] for x in lines}}
    assert {name: len(found) for name, found in told.items()} == {
        "events_dropped": 2,
        "event_given_up": 2,
    }
    assert sum(line["events"] for line in told["events_dropped"]) == 490 == sum(dropped)
    assert sum(line["events"] for line in told["event_given_up"]) == 10
    assert {line["receiver"] for line in lines} == {"crm"}


async def test_the_audit_log_tells_of_entries_that_found_no_place_by_few_lines(
    tmp_path: Path, lines: Lines
) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/none/h.db"  # no such directory
    database = Database(SecretStr(url), deadline=0.5)
    log = AuditLog(database, 30.0, lambda: 0.0)
    try:
        for number in range(MAX_WAITING + 100):
            await log.append(AuditEntry(f"e{number}", 0.0, "ann", "admin", "session.end", "s"))
    finally:
        await database.close()
    events = [line["event"] for line in lines]
    assert events == ["audit_delayed", "audit_lost"], "the rest is told with the next line"
