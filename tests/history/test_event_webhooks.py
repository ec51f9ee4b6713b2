"""Lifecycle events: signed, in order, each receiver for itself, kept over crashes, sent again."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import select, update

from app.history.database import Database
from app.history.errors import CannotRedeliver, InvalidCursor
from app.history.lifecycle.deliveries import Deliveries, DeliveryFilters, StoredDelivery
from app.history.lifecycle.event import MAX_BODY
from app.history.lifecycle.stored import StoredEvents, messages_of
from app.history.migrate import migrate
from app.history.reader import HistoryReader
from app.history.recorder import QueueRecorder
from app.history.results.composer import Composer
from app.history.results.database_outbox import DatabaseOutbox
from app.history.retention import Retention
from app.history.schema import deliveries as table
from app.history.store import Store
from app.protocol.close_codes import ENDED
from app.relay.lifecycle import EventType
from tests.history.events import OTHER_SECRET, Counted, delivering, delivery, event, named
from tests.history.feed import NOW, QUICK, found, running, start, until
from tests.history.receiver import SECRET, Receiver, receiving
from tests.support.waiting import until as eventually


async def settled(kept: Deliveries) -> bool:
    return (await kept.page(DeliveryFilters("delivered"))).items != ()


def numbers(receiver: Receiver, session: str) -> list[int]:
    """The events of a session in the order of their first arrival."""
    told = [b["data"]["number"] for b in receiver.order if b["data"]["session_id"] == session]
    return list(dict.fromkeys(told))


async def test_an_event_is_the_payload_that_standard_webhooks_recommends() -> None:
    receiver = Receiver()
    async with receiving(receiver), delivering([named("a", receiver)]) as webhooks:
        webhooks.emit(event(7, at=1_790_000_000.25, tenant="acme"))
        await until(lambda: receiver.taken)
    ((name, [body]),) = receiver.taken.items()
    assert name.startswith("msg_")
    assert body == {
        "type": "tool.failed",
        "timestamp": "2026-09-21T14:13:20.250Z",
        "data": {"session_id": "s1", "agent": "support", "tenant": "acme", "number": 7},
    }


async def test_an_event_that_is_too_large_is_told_without_its_data() -> None:
    receiver = Receiver()
    async with receiving(receiver), delivering([named("a", receiver)]) as webhooks:
        webhooks.emit(event(1, data={"text": "x" * MAX_BODY, "odd": object(), 3: b""}))
        webhooks.emit(event(2))
        await until(lambda: len(receiver.order) == 2)
    assert receiver.order[0]["data"].keys() == {"session_id", "agent", "too_large"}
    assert receiver.order[0]["data"]["too_large"] > MAX_BODY


async def test_each_receiver_gets_its_types_and_its_tenants_events_alone() -> None:
    all_of_it, ends, acme = Receiver(), Receiver(), Receiver()
    async with receiving(all_of_it), receiving(ends), receiving(acme):
        receivers = [
            named("all", all_of_it),
            named("ends", ends, types=frozenset(("session.ended",))),
            named("acme", acme, tenant="acme"),
        ]
        async with delivering(receivers) as webhooks:
            webhooks.emit(event(1, "s1"))
            webhooks.emit(event(2, "s1", type=EventType.SESSION_ENDED))
            webhooks.emit(event(3, "s2", tenant="acme"))
            webhooks.emit(event(4, "s2", tenant="other"))
            await until(lambda: len(all_of_it.order) == 4 and ends.order and acme.order)
    assert [body["data"]["number"] for body in ends.order] == [2]
    assert [body["data"]["number"] for body in acme.order] == [3]
    ids = [name for receiver in (all_of_it, ends, acme) for name in receiver.taken]
    assert len(set(ids)) == 6


async def test_while_a_secret_is_replaced_a_receiver_with_either_accepts() -> None:
    old, new = Receiver(secret=SECRET), Receiver(secret=OTHER_SECRET)
    async with receiving(old), receiving(new):
        receivers = [named(n, r, OTHER_SECRET, SECRET) for n, r in (("old", old), ("new", new))]
        async with delivering(receivers) as webhooks:
            webhooks.emit(event(1))
            await until(lambda: old.taken and new.taken)
    assert set(old.tries.values()) | set(new.tries.values()) == {1}


async def test_a_dead_receiver_delays_no_other_in_memory() -> None:
    await beside_a_dead_receiver(None)


async def test_a_dead_receiver_delays_no_other_in_the_database(database: Database) -> None:
    await beside_a_dead_receiver(database)


async def beside_a_dead_receiver(database: Database | None) -> None:
    live, dead = Receiver(), Receiver(lambda _: "hang", verify=False)
    counted = Counted()
    async with receiving(live), receiving(dead):
        receivers = [named("dead", dead), named("live", live)]
        async with delivering(receivers, database, counted=counted, patience=60) as webhooks:
            for number in range(40):
                webhooks.emit(event(number, f"s{number % 10}"))
            await until(lambda: counted.outcomes.get("delivered") == 40 and len(dead.tries) >= 8)
    assert len(dead.tries) == 8  # as many as may be under way at once, and not one has ended
    for session in {f"s{number}" for number in range(10)}:
        assert numbers(live, session) == sorted(numbers(live, session))


async def test_events_of_a_session_arrive_in_order_however_the_receiver_behaves(
    database: Database,
) -> None:
    chance = random.Random(11)  # noqa: S311 - no secret
    moods = ["ok", "ok", "ok", "500", "503", "307", "redirect", "404", "hang", "cut"]
    receiver = Receiver(lambda _: chance.choice(moods))
    async with receiving(receiver):
        mine = [named("a", receiver)]
        async with (
            delivering(mine, database, patience=0.3, lease=3.0) as one,
            delivering(mine, database, patience=0.3, lease=3.0, replica="r2") as two,
        ):
            for number in range(5):
                for session in ("s1", "s2", "s3"):
                    one.emit(event(number, session))
                two.emit(event(number, "s4"))
            await until(lambda: len(receiver.taken) == 20, 100)
    assert receiver.elsewhere == 0
    for session in ("s1", "s2", "s3", "s4"):
        assert numbers(receiver, session) == list(range(5))
    for name, bodies in receiver.bodies.items():
        assert len(bodies) == 1, name  # one id for all tries of an event


async def test_in_memory_order_holds_over_refusals_too() -> None:
    answers = iter(["500", "cut", "ok", "503"])
    receiver = Receiver(lambda _: next(answers, "ok"))
    async with receiving(receiver), delivering([named("a", receiver)]) as webhooks:
        for number in range(6):
            webhooks.emit(event(number))
        await until(lambda: len(receiver.order) == 6)
    assert numbers(receiver, "s1") == list(range(6))


async def test_in_memory_what_exceeds_the_bound_is_counted_and_nothing_else_is_lost() -> None:
    counted = Counted()
    receiver = Receiver()
    async with receiving(receiver):
        mine = [named("a", receiver)]
        async with delivering(mine, counted=counted, most=200) as webhooks:
            for number in range(250):
                webhooks.emit(event(number, f"s{number % 7}"))
            await until(lambda: counted.outcomes.get("delivered") == 200)
        assert counted.outcomes["dropped"] == 50
        for session in range(7):
            told = numbers(receiver, f"s{session}")
            assert told == sorted(told)


async def test_gone_is_final_and_lets_the_next_event_go(database: Database) -> None:
    answers = iter(["410"])
    receiver = Receiver(lambda _: next(answers, "ok"))
    counted = Counted()
    async with receiving(receiver):
        async with delivering([named("a", receiver)], database, counted=counted) as webhooks:
            webhooks.emit(event(1))
            webhooks.emit(event(2))
            await until(lambda: receiver.order)
        assert [body["data"]["number"] for body in receiver.order] == [2]
        assert counted.outcomes["given_up"] == 1
        page = await Deliveries(database, None, time.time).page(DeliveryFilters("given_up"))
        (row,) = page.items
        assert (row.trouble, row.attempts, row.next_at) == ("status_410", 1, None)


async def test_events_that_a_dead_replica_was_delivering_go_to_another(
    database: Database,
) -> None:
    await migrate(database)
    store = StoredEvents(database, "r", on_stored=lambda _: None, on_dropped=lambda _: None)
    made = [delivery("a", number) for number in (1, 2)]
    store.keep(made)
    await store.flush(10)
    now = NOW
    dead, alive = (
        DatabaseOutbox(database, lambda: now, name, messages=messages_of("a"), lease=60)
        for name in ("dead", "alive")
    )
    (claimed,) = await dead.claim(8)  # the second of the session waits for the first
    assert await alive.claim(8) == []
    now = NOW + 61
    (again,) = await alive.claim(8)
    assert (again.id, again.attempts) == (claimed.id, 2) == (made[0].id, 2)
    await alive.delivered(again)
    (second,) = await alive.claim(8)
    assert second.id == made[1].id


async def test_a_delivered_event_is_sent_again_under_its_id(database: Database) -> None:
    receiver = Receiver()
    async with receiving(receiver), delivering([named("a", receiver)], database) as webhooks:
        kept = Deliveries(database, webhooks, time.time)
        webhooks.emit(event(1))
        await until(lambda: receiver.order)
        (name,) = receiver.taken
        assert await eventually(lambda: settled(kept))
        again = await kept.redeliver(name)
        assert again is not None
        assert again.attempts in (0, 1)  # its worker may have been quick
        await until(lambda: len(receiver.taken[name]) == 2)
        assert receiver.bodies[name] == {next(iter(receiver.bodies[name]))}
        assert await kept.redeliver("msg_unknown") is None
        assert await kept.redeliver(name, tenant="acme") is None
    removed = Deliveries(database, None, time.time)
    with pytest.raises(CannotRedeliver, match="RELAY_EVENT_WEBHOOKS"):
        await removed.redeliver(name)


async def test_one_that_waits_for_its_next_try_is_tried_at_once(database: Database) -> None:
    mood = "500"
    receiver = Receiver(lambda _: mood)
    async with receiving(receiver), delivering([named("a", receiver)], database) as webhooks:
        kept = Deliveries(database, webhooks, time.time)
        webhooks.emit(event(1))
        await until(lambda: receiver.tries)
        (name,) = receiver.tries
        mood = "ok"

        async def later(connection: Any) -> None:
            values = {"next_at": time.time() + 3600, "claimed_by": None}
            await connection.execute(update(table).values(**values))

        await database.run(later, write=True)
        assert await kept.redeliver(name) is not None
        await until(lambda: receiver.taken)


async def test_deliveries_are_listed_latest_first_by_page_status_receiver_and_tenant(
    database: Database,
) -> None:
    recorder = QueueRecorder(QUICK, time.monotonic, Store(database), composer=Composer())
    async with running(recorder):
        recorder.started(start("c1"))
        recorder.ended("c1", ENDED, NOW)
    good, bad = Receiver(), Receiver(lambda _: "500")
    async with receiving(good), receiving(bad):
        receivers = [named("good", good), named("bad", bad)]
        async with delivering(receivers, database) as webhooks:
            for number in range(5):
                webhooks.emit(event(number, tenant="acme" if number == 0 else None))
            await until(lambda: len(good.order) == 5 and bad.tries)
    kept = Deliveries(database, None, time.time)
    listed: list[StoredDelivery] = []
    cursor: str | None = None
    for _ in range(6):
        page = await kept.page(DeliveryFilters(), cursor, 2)
        listed += page.items
        cursor = page.next
    assert cursor is None
    assert len({row.id for row in listed}) == 11
    assert [row.created_at for row in listed] == sorted(
        (r.created_at for r in listed), reverse=True
    )
    assert listed[-1].type == "conversation.result"
    waiting = (await kept.page(DeliveryFilters("waiting", "bad"))).items
    assert [row.receiver for row in waiting] == ["bad"] * 5
    assert all(row.next_at is not None for row in waiting)
    acme = (await kept.page(DeliveryFilters(tenant="acme"))).items
    assert {(row.receiver, row.tenant) for row in acme} == {("good", "acme"), ("bad", "acme")}
    with pytest.raises(InvalidCursor):
        await kept.page(DeliveryFilters(), "bm9uZQ")


async def test_a_result_that_waits_is_tried_at_once_and_one_that_is_over_is_not(
    database: Database,
) -> None:
    recorder = QueueRecorder(QUICK, time.monotonic, Store(database), composer=Composer())
    async with running(recorder):
        recorder.started(start("c1"))
        recorder.ended("c1", ENDED, NOW + 3600)
    outbox = DatabaseOutbox(database, lambda: NOW, "r")
    assert await outbox.claim(8) == []  # it is due in an hour
    kept = Deliveries(database, None, lambda: NOW)
    assert await kept.redeliver("msg_c1") is not None
    (queued,) = await outbox.claim(8)
    await outbox.delivered(queued)
    with pytest.raises(CannotRedeliver, match="kept until it is delivered"):
        await kept.redeliver("msg_c1")


async def test_without_content_a_waiting_event_is_encrypted_and_arrives_open(
    database: Database,
) -> None:
    receiver = Receiver(secret=OTHER_SECRET)
    async with receiving(receiver):
        before = [named("a", receiver, SECRET)]
        async with delivering(before, database, content=False) as webhooks:
            webhooks.emit(event(1, data={"number": 1, "canary": "PLAIN"}))
            await until(lambda: receiver.tries)  # refused: it was not signed by its secret
        rows = await found(database, select(table))
        assert len(rows) == 1
        assert "PLAIN" not in repr(rows)
        after = [named("a", receiver, OTHER_SECRET, SECRET)]
        async with delivering(after, database, content=False, lease=1.0):
            await until(lambda: receiver.taken)
    assert receiver.order[0]["data"]["canary"] == "PLAIN"


async def test_what_was_told_of_a_person_or_is_old_is_deleted(database: Database) -> None:
    receiver = Receiver()
    recorder = QueueRecorder(QUICK, time.monotonic, Store(database))
    async with running(recorder):
        recorder.started(start("c1", subject="ann"))
        recorder.started(start("c2", subject="bob"))
    async with receiving(receiver), delivering([named("a", receiver)], database) as webhooks:
        webhooks.emit(event(1, "c1"))
        webhooks.emit(event(2, "c2"))
        await until(lambda: len(receiver.order) == 2)
    await HistoryReader(database, recorder.forget).erase("ann")
    kept = Deliveries(database, None, time.time)
    assert [row.session_id for row in (await kept.page(DeliveryFilters())).items] == ["c2"]
    await Retention(database, 1.0, lambda: time.time() + 90_000, rest=0).once()
    assert (await kept.page(DeliveryFilters())).items == ()


async def test_while_the_database_is_away_events_wait_bounded_and_are_counted() -> None:
    away = Database(SecretStr("postgresql+asyncpg://relay@127.0.0.1:1/none"))
    lost: list[int] = []
    store = StoredEvents(away, "r", on_stored=lambda _: None, on_dropped=lost.append, most=3)
    made = [delivery("a", number) for number in range(5)]
    store.keep(made[:2])
    store.keep(made[2:])
    assert lost == [2]
    await store.flush(0.5)
    assert lost == [2, 3]
    await away.close()
