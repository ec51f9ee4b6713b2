"""Every result arrives at least once, signed, in the vendor's shape, and never too late."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import text as sql

from app.backoff import Backoff
from app.history.reader import HistoryReader
from app.history.recorder import QueueRecorder
from app.history.results.composer import Composer
from app.history.results.database_outbox import DatabaseOutbox
from app.history.results.delivery import DeliveryWorker
from app.history.results.encryption import PayloadCipher
from app.history.results.memory_outbox import MemoryOutbox
from app.history.results.sender import Sender
from app.history.store import Store
from app.protocol.close_codes import ENDED, UPSTREAM_FAILED
from app.protocol.errors import ConfigurationError
from tests.history.feed import (
    DOWN,
    NOW,
    QUICK,
    converse,
    found,
    result,
    running,
    start,
    text,
    until,
)
from tests.history.receiver import SECRET, Receiver, receiving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from app.history.database import Database
    from app.history.results.delivery import Delivery, Outbox

SOON = Backoff(0.01, 0.1)


@asynccontextmanager
async def carrying(
    outbox: Outbox,
    receiver: Receiver,
    *,
    clock: Any = time.time,
    patience: float = 20.0,
    on_delivery: Any = None,
) -> AsyncIterator[DeliveryWorker]:
    async with httpx.AsyncClient(trust_env=False) as http:
        sender = Sender(SecretStr(receiver.url), SecretStr(SECRET), http, clock, timeout=patience)
        courier = DeliveryWorker(outbox, sender, poll=0.02, on_delivery=on_delivery)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(courier.run())
            yield courier
            task.cancel()


def test_a_secret_that_is_no_key_is_refused_by_its_name() -> None:
    for bad in ("", "my secret", "whsec_", "whsec_c2hvcnQ=", "schlüssel"):
        with pytest.raises(ConfigurationError, match="RELAY_RESULT_WEBHOOK_SECRET"):
            Sender(SecretStr("http://x"), SecretStr(bad), httpx.AsyncClient(), time.time)


async def test_results_arrive_once_at_least_however_the_receiver_behaves(
    database: Database,
) -> None:
    chance = random.Random(7)  # noqa: S311 - no secret
    moods = ["ok", "ok", "500", "503", "301", "redirect", "404", "hang", "cut", "endless"]
    receiver = Receiver(lambda _: chance.choice(moods))
    store = Store(database)
    recorder = QueueRecorder(QUICK, time.monotonic, store, composer=Composer(lifetime=1e12))
    async with receiving(receiver):
        boxes = [
            DatabaseOutbox(database, time.time, f"r{n}", backoff=SOON, lease=1.5) for n in range(2)
        ]
        async with (
            carrying(boxes[0], receiver, patience=0.3),
            carrying(boxes[1], receiver, patience=0.3),
            running(recorder),
        ):
            said = {f"msg_c{n}": converse(recorder, f"c{n}", n) for n in range(60)}
            await until(lambda: receiver.taken.keys() == said.keys(), 100)
    assert receiver.elsewhere == 0
    for name, bodies in receiver.bodies.items():
        assert len(bodies) == 1, name
    for name, (body, *_) in receiver.taken.items():
        assert body["type"] == "CompletedWebHookPayload"
        spoken = [(t["speaker"], t["text"]) for t in body["transcription"]]
        assert spoken == [(source, words) for source, words, _ in said[name].turns]


async def test_a_steady_receiver_gets_each_result_once_from_many_replicas(
    database: Database,
) -> None:
    receiver = Receiver()
    marked: list[object] = []
    recorder = QueueRecorder(
        QUICK, time.monotonic, Store(database), composer=Composer(lifetime=1e12)
    )
    async with running(recorder):
        for number in range(80):
            converse(recorder, f"c{number}", number, turns=1)
    async with receiving(receiver):
        boxes = [DatabaseOutbox(database, time.time, f"r{n}", backoff=SOON) for n in range(3)]
        async with (
            carrying(boxes[0], receiver, patience=20, on_delivery=marked.append),
            carrying(boxes[1], receiver, patience=20, on_delivery=marked.append),
            carrying(boxes[2], receiver, patience=20, on_delivery=marked.append),
        ):
            await until(lambda: len(marked) == 80)
    assert set(receiver.tries.values()) == {1}
    assert len(receiver.taken) == 80
    kept = await HistoryReader(database, recorder.forget).result("c7")
    assert kept is not None
    assert (kept.delivery, kept.attempts, kept.status) == ("delivered", 1, "Completed")


async def test_nothing_is_sent_after_the_deadline(database: Database) -> None:
    now = NOW
    lost: list[int] = []
    receiver = Receiver(lambda _: "500", verify=False)
    recorder = QueueRecorder(QUICK, time.monotonic, Store(database), composer=Composer())
    async with running(recorder):
        recorder.started(start("c1"))
        recorder.ended("c1", ENDED, NOW)
    outbox = DatabaseOutbox(database, lambda: now, "r", backoff=SOON, on_given_up=lost.append)
    tries: list[Delivery] = []
    async with (
        receiving(receiver),
        carrying(outbox, receiver, clock=lambda: now, on_delivery=tries.append),
    ):
        await until(lambda: len(tries) == 1)
        now = NOW + 86_399.0  # the last second
        await until(lambda: len(tries) == 2)
        now = NOW + 86_400.0
        await until(lambda: lost == [1])
    assert receiver.tries == {"msg_c1": 2}
    kept = await HistoryReader(database, recorder.forget).result("c1")
    assert kept is not None
    assert (kept.delivery, kept.attempts) == ("given_up", 2)


async def test_a_replica_that_dies_with_a_result_loses_it_to_another(database: Database) -> None:
    recorder = QueueRecorder(QUICK, time.monotonic, Store(database), composer=Composer())
    async with running(recorder):
        recorder.started(start("c1"))
        recorder.ended("c1", ENDED, NOW)
    now = NOW
    dead, alive = (
        DatabaseOutbox(database, lambda: now, name, lease=60) for name in ("dead", "alive")
    )
    (claimed,) = await dead.claim(8)
    assert await alive.claim(8) == []
    now = NOW + 61
    (again,) = await alive.claim(8)
    assert (again.id, again.body, again.attempts) == (claimed.id, claimed.body, 2)


async def test_with_content_off_a_waiting_result_is_sealed_and_arrives_open(
    database: Database,
) -> None:
    seal = PayloadCipher(SecretStr(SECRET))
    composer = Composer(lifetime=1e12, cipher=seal)
    recorder = QueueRecorder(
        QUICK, time.monotonic, Store(database), content=False, composer=composer
    )
    async with running(recorder):
        recorder.started(start("c1", additional_data={"k": "PLAIN"}))
        recorder.frame("c1", DOWN, NOW, text("user", "PLAIN"))
        recorder.ended("c1", ENDED, NOW + 2)
    for table in ("conversations", "turns", "events", "results", "outbox"):
        assert "PLAIN" not in repr(await found(database, sql(f"SELECT * FROM {table}")))  # noqa: S608
    receiver = Receiver()
    async with receiving(receiver):
        outbox = DatabaseOutbox(database, time.time, "r", seal=seal)
        async with carrying(outbox, receiver):
            await until(lambda: receiver.taken)
    (body,) = receiver.taken["msg_c1"]
    assert body["transcription"][0]["text"] == "PLAIN"
    assert body["callAdditionalData"] == {"k": "PLAIN"}
    assert body["durationSeconds"] == 2.0


async def test_a_result_sealed_under_another_secret_waits_for_one_who_can_open_it(
    database: Database,
) -> None:
    old, new = PayloadCipher(SecretStr(SECRET)), PayloadCipher(SecretStr("whsec_" + "b" * 32))
    recorder = QueueRecorder(
        QUICK, time.monotonic, Store(database), content=False, composer=Composer(cipher=old)
    )
    async with running(recorder):
        recorder.started(start("c1"))
        recorder.ended("c1", ENDED, NOW)
    now = NOW
    rotated, unchanged = (
        DatabaseOutbox(database, lambda: now, name, seal=seal, lease=60)
        for name, seal in (("rotated", new), ("unchanged", old))
    )
    assert await rotated.claim(8) == []
    now = NOW + 61
    (queued,) = await unchanged.claim(8)
    assert b'"callId":"c1"' in queued.body


async def test_without_history_results_are_tried_a_few_times_and_then_given_up() -> None:
    refusals = iter(["503", "cut"])
    receiver = Receiver(lambda name: "500" if name == "msg_never" else next(refusals, "ok"))
    outbox = MemoryOutbox(time.time, tries=3, backoff=SOON)
    composer = Composer(lifetime=1e12)
    recorder = QueueRecorder(QUICK, time.monotonic, outbox, content=False, composer=composer)
    async with receiving(receiver), carrying(outbox, receiver, patience=20) as courier:
        outbox.on_message = courier.wake
        async with running(recorder):
            recorder.started(start("late"))
            recorder.frame("late", DOWN, NOW, text("assistant", "Hello."))
            recorder.frame("late", DOWN, NOW, text("assistant", "How are you?"))
            recorder.frame("late", DOWN, NOW, result(status="Completed", summary="fine"))
            recorder.ended("late", ENDED, NOW + 1)
            await until(lambda: "msg_late" in receiver.taken)
            recorder.started(start("never"))
            recorder.ended("never", UPSTREAM_FAILED, NOW + 1)
            await until(lambda: receiver.tries.get("msg_never") == 3 and len(outbox) == 0)
    (body,) = receiver.taken["msg_late"]
    assert body["transcription"][0]["text"] == "Hello. How are you?"
    assert body["result"]["summary"] == "fine"
    assert receiver.tries == {"msg_late": 3, "msg_never": 3}


async def test_without_history_what_exceeds_the_bound_is_counted() -> None:
    lost: list[int] = []
    outbox = MemoryOutbox(time.time, most=3, on_dropped=lost.append)
    recorder = QueueRecorder(QUICK, time.monotonic, outbox, composer=Composer(lifetime=1e12))
    async with running(recorder):
        for number in range(5):
            recorder.started(start(f"c{number}"))
            recorder.ended(f"c{number}", ENDED, NOW)
    assert len(outbox) + sum(lost) == 5
    assert len(outbox) == 3
    outbox.discard()
    assert sum(lost) == 5
