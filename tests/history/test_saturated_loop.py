"""A loop that is busy with conversations turns seldom: history needs few of its iterations."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVarTuple

from sqlalchemy import create_engine
from sqlalchemy.event import listen
from sqlalchemy.pool import NullPool

from app.history.batch import rest_after
from app.history.conversation import RecordedConversation
from app.history.database import Database
from app.history.load_monitor import Clocks, LoadMonitor
from app.history.pacing import ThreadRests, TimeSlice
from app.history.queue import Bounds, RecordKind, RecordQueue
from app.history.recorder import QueueRecorder
from app.history.schema import events
from app.history.statements import CHUNK_SIZE, KEPT, SQLITE_ROWS, insert
from app.history.store import Store
from tests.history.feed import QUICK, converse, start

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

    from pydantic import SecretStr

CONVERSATIONS = 100
BOUNDS = replace(QUICK, slice=60.0)
"""Reading frames takes no iteration of its own: what is counted is what writing takes."""

Args = TypeVarTuple("Args")


class CountingLoop(asyncio.SelectorEventLoop):
    """Counts the callbacks that it is given: what comes back to it has to wait for its turn."""

    callbacks = 0

    def call_soon(
        self, callback: Callable[[*Args], object], *args: *Args, context: Context | None = None
    ) -> asyncio.Handle:
        self.callbacks += 1
        return super().call_soon(callback, *args, context=context)

    def call_soon_threadsafe(
        self, callback: Callable[[*Args], object], *args: *Args, context: Context | None = None
    ) -> asyncio.Handle:
        self.callbacks += 1
        return super().call_soon_threadsafe(callback, *args, context=context)


def test_a_batch_costs_the_loop_a_few_callbacks_however_many_statements_it_takes(
    url: SecretStr,
) -> None:
    loop = CountingLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(_written(url, loop))


async def _written(url: SecretStr, loop: CountingLoop) -> None:
    database = Database(url)
    store = Store(database)
    await store.open()
    recorder = QueueRecorder(BOUNDS, time.monotonic, store)
    said = [converse(recorder, f"c{number}", number) for number in range(CONVERSATIONS)]
    batches = recorder.counts().waiting // BOUNDS.batch + 1
    hand_overs, loop.callbacks = database.hand_overs, 0
    await recorder.flush(60)
    callbacks, hand_overs = loop.callbacks, database.hand_overs - hand_overs
    written = recorder.counts().written
    await database.close()
    assert (written["started"], written["ended"]) == (CONVERSATIONS, CONVERSATIONS)
    assert written["frame"] == sum(one.frames for one in said)
    assert hand_overs <= batches + 2, "one to look at the schema, one for its partitions"
    assert callbacks < 40 * batches


def test_sqlite_is_given_many_rows_at_a_time() -> None:
    """Its driver needs the interpreter's lock for each statement, which a busy loop holds."""
    statement = insert(events, KEPT, is_postgresql=False)
    rows = [("c", number, 1.5, "from_upstream", "event", "x", "{}") for number in range(1000)]
    calls = list(statement.calls(rows))
    assert [value for _, many in calls for one in many for value in one] == [
        value for row in rows for value in row
    ]
    assert sum(len(many) for _, many in calls) <= 1000 / SQLITE_ROWS[0] + 20


def test_long_rows_are_given_to_a_driver_a_few_at_a_time() -> None:
    long = "x" * (CHUNK_SIZE // 2)
    rows = [("c", number, 1.5, "from_upstream", "event", "x", long) for number in range(64)]
    for is_postgresql in (False, True):
        statement = insert(events, KEPT, is_postgresql=is_postgresql)
        for _, given in statement.calls(rows):
            for one in [given] if is_postgresql else given:
                assert str(one).count(long) <= 2


def _burn(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


async def _used_up(others: float) -> bool:
    """Whether a millisecond is more than a slice allows, after others used so much CPU time."""
    work = TimeSlice(0.0005)
    asyncio.get_running_loop().call_soon(_burn, others)
    await work.rest()
    _burn(0.001)
    return work.is_over()


@dataclass
class Thread:
    """A thread's times, as a test has them go on."""

    now: float = 100.0
    ran: float = 10.0
    kept_waiting: float = 1.0

    def monitor(self) -> LoadMonitor:
        return LoadMonitor(Clocks(lambda: self.now, lambda: self.ran, lambda: self.kept_waiting))

    def goes_on(self, *, ran: float = 0.0, kept: float = 0.0, spare: float = 0.0) -> None:
        self.now += ran + kept + spare
        self.ran += ran
        self.kept_waiting += kept


def test_history_does_not_take_its_own_work_for_that_of_conversations() -> None:
    thread = Thread()
    told, untold = thread.monitor(), thread.monitor()
    thread.goes_on(ran=0.25, spare=0.04)
    assert (untold.is_busy(0.0), told.is_busy(0.25)) == (True, False)


def test_time_for_which_others_held_the_core_is_neither_used_nor_spare() -> None:
    thread = Thread()
    monitor = thread.monitor()
    thread.goes_on(ran=0.25, kept=5.0, spare=0.04)
    assert monitor.is_busy(0.0)
    thread.goes_on(ran=0.05, kept=5.0, spare=0.04)
    assert not monitor.is_busy(0.0)


def test_a_look_that_is_too_short_leaves_the_last_judgement() -> None:
    thread = Thread()
    monitor = thread.monitor()
    thread.goes_on(ran=0.1)
    assert not monitor.is_busy(0.0)
    thread.goes_on(ran=0.15)
    assert monitor.is_busy(0.0)
    thread.goes_on(spare=0.15)
    assert monitor.is_busy(0.0)
    thread.goes_on(spare=0.15)
    assert not monitor.is_busy(0.0)


def test_a_thread_that_computes_is_found_busy_by_the_systems_own_clocks() -> None:
    # Several times: the system may have kept this thread waiting without telling so.
    judged = []
    for _ in range(10):
        monitor = LoadMonitor()
        _burn(0.25)
        judged.append(monitor.is_busy(0.0))
    assert any(judged)


def test_a_backlog_is_read_without_pauses_while_the_loop_has_no_other_work() -> None:
    bounds = Bounds(batch=10)
    queue = RecordQueue(bounds)
    conversation = RecordedConversation(start("c"), content=True, transcript=None)
    for number in range(10):
        assert rest_after(0.0, queue, bounds) == bounds.rest * queue.slack > 0, number
        queue.put((RecordKind.FRAME, conversation, 100))
    assert rest_after(0.0, queue, bounds) == 0.0
    assert rest_after(0.001, queue, bounds) == bounds.rest * queue.slack > 0


def test_a_thread_rests_after_a_slice_of_work_and_not_before() -> None:
    rests = ThreadRests(limit=0.005)
    rests.take()
    assert rests.taken == 0
    for number in range(1, 4):
        _burn(0.005)
        rests.take()
        assert rests.taken == number


def test_sqlite_may_rest_after_every_statement() -> None:
    """On one core, nothing else runs until it does, whatever the event loop has to do."""
    rows = [("c", number, 1.5, "from_upstream", "event", "x", "{}") for number in range(1000)]
    statement, asked, given = insert(events, KEPT, is_postgresql=False), [], []
    engine = create_engine("sqlite://", poolclass=NullPool)  # closed when it is given back
    with engine.connect() as connection:
        events.create(connection)
        listen(engine, "before_cursor_execute", lambda *call: given.append(len(call[3])))
        statement.execute(connection, rows, lambda: asked.append(len(given)))
        assert connection.exec_driver_sql("SELECT count(*) FROM events").scalar() == len(rows)
    assert asked == list(range(1, len(asked) + 1)), "one statement between two questions"
    assert max(given) <= SQLITE_ROWS[0] * len(events.columns)


async def test_a_slice_of_work_grows_with_what_others_use_of_an_iteration() -> None:
    assert await _used_up(0.0)
    assert not all([await _used_up(0.03) for _ in range(20)]), "each was interrupted by the system"
