"""A turn: what was read is delivered, then written; one socket's fault is its own alone."""

from __future__ import annotations

import asyncio
from socket import socketpair
from time import monotonic

import pytest
import structlog

from app.websocket.client_connection import ClientConnection
from app.websocket.frames import TEXT, header
from app.websocket.io_batcher import IoBatcher
from app.websocket.limits import WireLimits
from tests.websocket.handlers import Owner


class Socket:
    """Notes in `notes`, which sockets share, what it is told; `fails` is where it breaks."""

    def __init__(self, name: str, batcher: IoBatcher, notes: list[str], fails: str = "") -> None:
        self.name, self.batcher, self.notes, self.fails = name, batcher, notes, fails

    def deliver(self, data: bytes) -> None:
        self._note(f"deliver {data.decode()}")
        self.batcher.schedule_flush(self)

    def flush(self) -> None:
        self._note("flush")

    def abort(self) -> None:
        self._note("abort")

    def _note(self, what: str) -> None:
        self.notes.append(f"{self.name}: {what}")
        if what.split(maxsplit=1)[0] == self.fails:
            raise ZeroDivisionError("boom")


async def test_the_first_read_of_an_iteration_is_delivered_and_written_at_once() -> None:
    notes: list[str] = []
    batcher = IoBatcher(written=lambda _: notes.append("written"))
    for number in (1, 2):
        batcher.enqueue_read(Socket("a", batcher, notes), b"1")
        assert notes == ["a: deliver 1", "a: flush", "written"] * number
        await asyncio.sleep(0)
        assert len(notes) == 3 * number  # nothing is left for the end of the iteration


async def test_further_reads_of_an_iteration_are_all_delivered_and_then_written() -> None:
    notes: list[str] = []
    batcher = IoBatcher(written=lambda _: notes.append("written"))
    _first_read(batcher)
    notes.clear()
    a, b = Socket("a", batcher, notes), Socket("b", batcher, notes)
    batcher.enqueue_read(a, b"1")
    batcher.enqueue_read(b, b"2")
    batcher.enqueue_read(a, b"3")
    assert notes == []
    await asyncio.sleep(0)
    delivered = ["a: deliver 1", "b: deliver 2", "a: deliver 3"]
    assert notes == [*delivered, "a: flush", "b: flush", "a: flush", "written"]


async def test_after_an_iteration_with_several_reads_the_first_is_batched_too() -> None:
    notes: list[str] = []
    batcher = IoBatcher()
    for _ in range(2):
        _first_read(batcher)
    await asyncio.sleep(0)
    batcher.enqueue_read(Socket("a", batcher, notes), b"1")
    assert notes == []
    await asyncio.sleep(0)
    assert notes == ["a: deliver 1", "a: flush"]
    batcher.enqueue_read(Socket("b", batcher, notes), b"2")
    assert notes[2:] == ["b: deliver 2", "b: flush"]


async def test_a_read_that_comes_while_the_first_is_delivered_waits_for_the_iterations_end() -> (
    None
):
    notes: list[str] = []
    batcher = IoBatcher()

    class Nested(Socket):
        def deliver(self, data: bytes) -> None:
            super().deliver(data)
            batcher.enqueue_read(Socket("b", batcher, notes), b"2")

    batcher.enqueue_read(Nested("a", batcher, notes), b"1")
    assert notes == ["a: deliver 1", "a: flush"]
    await asyncio.sleep(0)
    assert notes[2:] == ["b: deliver 2", "b: flush"]


@pytest.mark.parametrize(("many", "size"), [(64, 1), (2, 200_000)])
async def test_much_that_was_read_is_delivered_and_written_at_once(many: int, size: int) -> None:
    notes: list[str] = []
    batcher = IoBatcher()
    _first_read(batcher)
    socket = Socket("a", batcher, notes)
    for number in range(many):
        assert notes == [], number
        batcher.enqueue_read(socket, b"x" * size)
    assert [note[:10] for note in notes] == ["a: deliver"] * many + ["a: flush"] * many


async def test_the_time_of_a_turn_runs_from_its_first_read() -> None:
    told: list[float] = []
    batcher = IoBatcher(written=told.append)
    times = [monotonic()]
    for _ in range(3):  # the first is written at once, the others together
        batcher.enqueue_read(Socket("a", batcher, []), b"1")
        times.append(monotonic())
    await asyncio.sleep(0)
    first, batch = told
    assert times[0] <= first <= times[1] <= batch <= times[2]


async def test_a_socket_that_fails_to_read_is_dropped_and_no_other_suffers() -> None:
    notes: list[str] = []
    batcher = IoBatcher()
    with structlog.testing.capture_logs() as logs:
        batcher.enqueue_read(Socket("a", batcher, notes, fails="deliver"), b"1")
        batcher.enqueue_read(Socket("b", batcher, notes, fails="deliver"), b"2")
        batcher.enqueue_read(Socket("c", batcher, notes), b"3")
        await asyncio.sleep(0)
    failed = ["a: deliver 1", "a: abort", "b: deliver 2", "b: abort"]
    assert notes == [*failed, "c: deliver 3", "c: flush"]
    told = {"event": "read_failed", "error": "ZeroDivisionError", "log_level": "error"}
    assert logs == [told, told]


async def test_a_socket_that_fails_to_write_keeps_no_other_from_writing() -> None:
    notes: list[str] = []
    batcher = IoBatcher()
    with structlog.testing.capture_logs() as logs:
        batcher.schedule_flush(Socket("a", batcher, notes, fails="flush"))
        batcher.schedule_flush(Socket("b", batcher, notes))
        await asyncio.sleep(0)
    assert notes == ["a: flush", "b: flush"]
    failed = {"event": "write_failed", "error": "ZeroDivisionError", "log_level": "error"}
    assert logs == [failed]


async def test_what_comes_while_a_turn_writes_has_a_turn_of_its_own() -> None:
    notes: list[str] = []
    batcher = IoBatcher()
    late = Socket("late", batcher, notes)

    class Busy(Socket):
        def flush(self) -> None:
            super().flush()
            batcher.enqueue_read(late, b"2")

    _first_read(batcher)
    batcher.enqueue_read(Busy("a", batcher, notes), b"1")
    await asyncio.sleep(0)
    assert notes == ["a: deliver 1", "a: flush"]
    await asyncio.sleep(0)
    assert notes[2:] == ["late: deliver 2", "late: flush"]


async def test_what_was_read_is_delivered_before_a_loss_is_told() -> None:
    ours, theirs = socketpair()
    with theirs:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
        transport.pause_reading()
        batcher = IoBatcher()
        socket = ClientConnection(transport, WireLimits(), batcher)
        owner = Owner(socket)
        socket.open(owner)
        last = b"last words"
        _first_read(batcher)
        socket.data_received(header(TEXT, len(last)) + last)
        assert owner.heard == []
        socket.connection_lost(None)
        assert owner.ended.done()
        assert owner.heard == [last, "batch"]
        transport.abort()


def _first_read(batcher: IoBatcher) -> None:
    """Let the iteration have its first read: what is read from here on waits for its end."""
    batcher.enqueue_read(Socket("first", batcher, []), b"0")
