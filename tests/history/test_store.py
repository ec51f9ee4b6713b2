"""What goes in comes out, in either database."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING

import pytest

from app.history.conversation import BatchPart, RecordedConversation
from app.history.database import Database
from app.history.model import Filters
from app.history.reader import HistoryReader
from app.history.recorder import QueueRecorder
from app.history.store import Store
from app.protocol.close_codes import ENDED, IDLE
from app.protocol.tool import Outcome, ToolCall, ToolResult
from tests.history.feed import DOWN, NOW, QUICK, UP, converse, event, running, start, text, until

if TYPE_CHECKING:
    from pydantic import SecretStr


def recorder_on(database: Database, **more: object) -> QueueRecorder:
    return QueueRecorder(QUICK, time.monotonic, Store(database), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "size", [250, pytest.param(1000, marks=[pytest.mark.nightly, pytest.mark.timeout(300)])]
)
async def test_every_transcript_is_what_was_said(database: Database, size: int) -> None:
    recorder = recorder_on(database)
    async with running(recorder):
        said = []
        for number in range(size):
            said.append(converse(recorder, f"c{number}", number))
            if number % 20 == 0:
                await asyncio.sleep(0)
    counts = recorder.counts()
    assert counts.dropped.total() == counts.waiting == counts.skipped == counts.bytes == 0
    assert counts.written["frame"] == sum(one.frames for one in said)
    archive = HistoryReader(database, recorder.forget)
    tools = 0
    for one in said:
        page = await archive.transcript(one.id)
        assert [(t.source, t.text, t.pieces) for t in page.items] == one.turns
        tools += len((await archive.tool_calls(one.id)).items)
    assert tools == sum(one.tools for one in said)


async def test_a_conversation_is_kept_with_all_its_facts(database: Database) -> None:
    recorder = recorder_on(database)
    async with running(recorder):
        recorder.started(start("c1", endpoint="+15550100", call_type="onPhone"))
        recorder.frame("c1", DOWN, NOW + 1, event("opened", {"sip": [1, None, "x"]}))
        recorder.frame("c1", UP, NOW + 2, b'{"type":"terminate","timestamp":"x"}')
        recorder.ended("c1", IDLE, NOW + 3.5)
    archive = HistoryReader(database, recorder.forget)
    kept = await archive.conversation("c1")
    assert kept is not None
    assert (kept.agent, kept.call_type, kept.subject) == ("support", "onPhone", "ann")
    assert (kept.endpoint, kept.additional_data) == ("+15550100", {"customer": "ann"})
    assert (kept.started_at, kept.ended_at, kept.lost) == (NOW, NOW + 3.5, 0)
    assert (kept.close_code, kept.close_name) == (4408, "idle")
    events = (await archive.events("c1")).items
    assert [(e.direction, e.type, e.name, e.data) for e in events] == [
        ("from_upstream", "event", "opened", {"sip": [1, None, "x"]}),
        ("from_browser", "terminate", None, None),
    ]
    assert await archive.conversation("c2") is None


async def test_a_turn_that_grows_over_batches_stays_one_turn(database: Database) -> None:
    recorder = recorder_on(database)
    async with running(recorder):
        recorder.started(start("c1"))
        for number in range(5):
            recorder.frame("c1", DOWN, NOW + number, text("assistant", f"{number} "))
            await until(lambda: recorder.counts().waiting == 0)
        recorder.ended("c1", ENDED, NOW + 9)
    (turn,) = (await HistoryReader(database, recorder.forget).transcript("c1")).items
    assert (turn.text, turn.pieces) == ("0 1 2 3 4 ", 5)
    assert (turn.started_at, turn.ended_at) == (NOW, NOW + 4)


async def test_a_batch_written_twice_is_written_once(database: Database) -> None:
    store = Store(database)
    await store.open()
    conversation = RecordedConversation(start("c1"), content=True, transcript=None)
    early, late = BatchPart(conversation), BatchPart(conversation)
    conversation.frame(early, DOWN, NOW, text("user", "one "))
    conversation.frame(early, DOWN, NOW, event("connection"))
    conversation.frame(late, DOWN, NOW, text("user", "two"))
    conversation.ended(late, ENDED, NOW)
    for part in (early, early, late, early, late):
        assert await store.write([part]) == frozenset()
    archive = HistoryReader(database, _nobody)
    (turn,) = (await archive.transcript("c1")).items
    assert (turn.text, turn.pieces) == ("one two", 2)
    assert len((await archive.events("c1")).items) == 1
    assert len((await archive.conversations()).items) == 1


async def test_a_writer_cancelled_at_any_moment_leaves_nothing_locked_and_nothing_lost(
    url: SecretStr,
) -> None:
    for number in range(12):
        database = Database(url)
        recorder = QueueRecorder(QUICK, time.monotonic, Store(database))
        said = [converse(recorder, f"c{number}-{n}", n) for n in range(20)]
        async with running(recorder):
            await asyncio.sleep(number * 0.01)  # the moment at which it is cancelled
        assert recorder.counts().dropped.total() == recorder.counts().waiting == 0
        page = await HistoryReader(database, recorder.forget).transcript(said[-1].id)
        assert [(t.source, t.text, t.pieces) for t in page.items] == said[-1].turns
        await database.close()


async def test_what_no_database_takes_is_replaced(database: Database) -> None:
    recorder = recorder_on(database)
    async with running(recorder):
        recorder.started(start("c1", subject="an\x00n", additional_data={"a": "\x00", "b": 2**70}))
        recorder.frame("c1", DOWN, NOW, text("user", "nul \x00 here"))
        recorder.frame("c1", DOWN, NOW, event("x\x00", {"deep\x00": "\x00"}))
        recorder.ended("c1", ENDED, NOW)
    assert recorder.counts().dropped.total() == 0
    archive = HistoryReader(database, recorder.forget)
    kept = await archive.conversation("c1")
    assert kept is not None
    assert kept.subject == "an\ufffdn"
    assert kept.additional_data["a"] == "\x00"
    assert (await archive.transcript("c1")).items[0].text == "nul \ufffd here"


async def test_one_part_that_is_refused_takes_no_other_with_it(database: Database) -> None:
    recorder = recorder_on(database)
    async with running(recorder):
        recorder.started(start("good"))
        recorder.started(start("bad", started_at=None))  # no database takes it: NOT NULL
        recorder.frame("bad", DOWN, NOW, text("user", "x"))
        recorder.started(start("fine"))
        recorder.ended("fine", ENDED, NOW)
    counts = recorder.counts()
    assert counts.dropped == {"started": 1, "frame": 1}
    assert counts.written == {"started": 2, "ended": 1}
    page = await HistoryReader(database, recorder.forget).conversations()
    assert {c.id for c in page.items} == {"good", "fine"}


async def test_with_content_off_nothing_of_what_was_said_is_stored(database: Database) -> None:
    recorder = recorder_on(database, content=False)
    async with running(recorder):
        recorder.started(start("c1", endpoint="SECRET", additional_data={"SECRET": "SECRET"}))
        recorder.frame("c1", DOWN, NOW, text("user", "SECRET"))
        recorder.frame("c1", DOWN, NOW, event("opened", {"SECRET": "SECRET"}))
        result = {"status": "Completed"}
        result |= {"finishReason": "SECRET", "errorMessage": "SECRET", "x": "SECRET"}
        frame = {"type": "conversationResult", "result": result}
        recorder.frame("c1", DOWN, NOW, json.dumps(frame).encode())
        recorder.tool(
            "c1",
            ToolCall("1", "look", {"q": "SECRET"}),
            ToolResult("1", "SECRET", Outcome.OK),
            NOW,
            0.5,
        )
        recorder.ended("c1", ENDED, NOW)
    archive = HistoryReader(database, recorder.forget)
    transcript, tool_calls = await archive.transcript("c1"), await archive.tool_calls("c1")
    everything = [
        await archive.conversation("c1"),
        transcript,
        await archive.events("c1"),
        tool_calls,
        await archive.result("c1"),
    ]
    assert "SECRET" not in repr(everything)
    (turn,) = transcript.items
    assert (turn.source, turn.text, turn.pieces) == ("user", None, 1)
    (call,) = tool_calls.items
    assert (call.name, call.outcome, call.seconds, call.arguments) == ("look", "ok", 0.5, None)


async def test_pages_follow_each_other_without_gap_or_repeat(database: Database) -> None:
    recorder = recorder_on(database)
    async with running(recorder):
        for number in range(25):
            recorder.started(
                start(
                    f"c{number:02}",
                    agent="a" if number % 2 else "b",
                    started_at=NOW + number // 3,  # several begin at the same instant
                )
            )
    archive = HistoryReader(database, recorder.forget)
    seen, cursor = [], None
    while True:
        page = await archive.conversations(cursor=cursor, limit=4)
        seen += [c.id for c in page.items]
        if (cursor := page.next) is None:
            break
    assert seen == sorted(seen, key=lambda i: (int(i[1:]) // 3, i), reverse=True)
    assert len(set(seen)) == 25
    only = await archive.conversations(Filters(agent="a", since=NOW + 2, until=NOW + 4))
    assert sorted(c.id for c in only.items) == ["c07", "c09", "c11"]


async def _nobody(_subject: str, _tenant: str | None) -> frozenset[str]:
    return frozenset()
