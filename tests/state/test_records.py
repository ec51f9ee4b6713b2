"""Reusable tokens, calls and looking at tickets: what every implementation must do."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from app.protocol.errors import StoreUnavailable
from app.protocol.web_token import TokenConflict, TokenRecord
from app.state.keys import Keys
from app.state.memory_records import MemoryRecords
from app.state.redis import RedisState, Timings
from app.state.redis_records import RedisRecords
from tests.state.conftest import Clock, running
from tests.support.waiting import until

if TYPE_CHECKING:
    from app.state.interface import State
    from tests.support.redis import RedisServer


def token(key: str = "k", name: str = "page", **changes: Any) -> TokenRecord:
    given: dict[str, Any] = {"integration": "int", "payload": b"\x00p\xff", "ttl": 60.0}
    return TokenRecord(key=key, name=name, **given | changes)


async def test_ticket_can_be_looked_at_until_somebody_redeems_it(state: State) -> None:
    await state.put_ticket("k", b"payload", 60)
    assert [await state.peek_ticket("k") for _ in range(3)] == 3 * [b"payload"]
    assert await state.take_ticket("k", "claimant") == b"payload"
    assert await state.peek_ticket("k") is None
    state.return_ticket("k", "claimant")
    assert await until(lambda: state.peek_ticket("k")) == b"payload"
    assert await state.peek_ticket("never") is None


async def test_token_is_found_as_often_as_it_is_asked_for(state: State) -> None:
    assert await state.records.add_token(token()) is None
    assert [await state.records.find_token("k") for _ in range(3)] == 3 * [b"\x00p\xff"]
    assert await state.records.find_token("other") is None


async def test_name_belongs_to_one_token_of_an_integration(state: State) -> None:
    racers = (state.records.add_token(token(f"k{n}")) for n in range(20))
    outcomes = await asyncio.gather(*racers)
    assert sorted(map(str, outcomes)) == ["None", *(19 * ["name"])]
    assert await state.records.add_token(token("elsewhere", integration="other")) is None


async def test_deleted_token_is_gone_and_its_name_free(state: State) -> None:
    await state.records.add_token(token())
    assert await state.records.delete_token("k", "int", "page") is True
    assert await state.records.delete_token("k", "int", "page") is False
    assert await state.records.find_token("k") is None
    assert await state.records.add_token(token("again")) is None
    # The first one's late deletion must not free the name of its successor.
    assert await state.records.delete_token("k", "int", "page") is False
    assert await state.records.add_token(token("third")) is TokenConflict.NAME


async def test_token_and_its_name_expire(state: State) -> None:
    await state.records.add_token(token(ttl=0.2))

    async def expired() -> bool:
        return await state.records.find_token("k") is None

    await until(expired, every=0.05)
    assert await until(_added(state), every=0.05)


def _added(state: State) -> Any:
    async def added() -> bool:
        return await state.records.add_token(token("next")) is None

    return added


async def test_call_is_kept_as_it_was_last_put(state: State) -> None:
    await state.records.put_call("c", b"1", 60)
    await state.records.put_call("c", b"2", 60)
    assert await state.records.find_call("c") == b"2"
    assert await state.records.find_call("never") is None


async def test_memory_takes_a_bounded_number_of_tokens() -> None:
    clock = Clock()
    records = MemoryRecords(clock, max_tokens=3)
    await _fill(records)
    clock.now += 100
    assert await records.add_token(token("later", "later")) is None


async def test_redis_takes_a_bounded_number_of_tokens(
    redis_server: RedisServer, prefix: str
) -> None:
    state = RedisState(redis_server.url, "a", prefix=prefix)
    async with running(state):
        records = RedisRecords(state._store, Keys(prefix), state._retries, max_tokens=3)
        await _fill(records)
        assert await records.delete_token("k0", "int", "n0") is True
        assert await records.add_token(token("later", "later")) is None


async def _fill(records: MemoryRecords | RedisRecords) -> None:
    for number in range(3):
        assert await records.add_token(token(f"k{number}", f"n{number}")) is None
    assert await records.add_token(token("k3", "n3")) is TokenConflict.FULL
    assert await records.find_token("k3") is None


async def test_tokens_and_calls_are_unavailable_without_redis(mortal_redis: RedisServer) -> None:
    state = RedisState(mortal_redis.url, "a", timings=Timings(timeout=1.0))
    async with running(state):
        await state.records.add_token(token())
        await asyncio.to_thread(mortal_redis.kill)
        asked = (
            state.peek_ticket("k"),
            state.records.find_token("k"),
            state.records.add_token(token("x", "x")),
            state.records.delete_token("k", "int", "page"),
            state.records.put_call("c", b"", 1),
            state.records.find_call("c"),
        )
        for asking in asked:
            with pytest.raises(StoreUnavailable):
                await asking


async def test_a_sign_in_is_found_until_it_is_taken_or_expires(state: State) -> None:
    records = state.records
    await records.put_sign_in("k", b"payload", 60)
    assert [await records.find_sign_in("k") for _ in range(2)] == 2 * [b"payload"]
    taken = await asyncio.gather(*(records.take_sign_in("k") for _ in range(10)))
    assert [one for one in taken if one] == [b"payload"]
    assert await records.find_sign_in("k") is None
    await records.put_sign_in("short", b"payload", 0.05)
    assert await until(lambda: _is_gone(state, "short"), within=20)


async def _is_gone(state: State, key: str) -> bool:
    return await state.records.find_sign_in(key) is None


async def test_approvals_are_listed_until_they_are_deleted_or_expire(state: State) -> None:
    records = state.records
    assert await records.approvals(10) == []
    await records.put_approval("a", b"\x00one", 60)
    await records.put_approval("b", b"two", 60)
    await records.put_approval("c", b"three", 0.05)
    await records.put_approval("b", b"changed", 60)

    async def expired() -> bool:
        return set(await records.approvals(10)) == {b"\x00one", b"changed"}

    await until(expired)
    assert len(await records.approvals(1)) == 1
    await records.delete_approval("a")
    await records.delete_approval("a")
    assert await records.approvals(10) == [b"changed"]
