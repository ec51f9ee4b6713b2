"""Answered requests: what every implementation must do."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from app.protocol.errors import StoreUnavailable
from app.state.memory_idempotency import MemoryRequests
from tests.state.conftest import Clock
from tests.support.waiting import until

if TYPE_CHECKING:
    from app.state.interface import State


async def test_one_of_many_that_come_at_once_is_the_first(state: State) -> None:
    claims = [state.requests.claim("k", b"%d" % number, 60) for number in range(20)]
    kept = await asyncio.gather(*claims)
    assert kept.count(None) == 1
    first = b"%d" % kept.index(None)
    assert {other for other in kept if other is not None} == {first}


async def test_answer_replaces_what_was_claimed(state: State) -> None:
    assert await state.requests.claim("k", b"begun", 60) is None
    await state.requests.finish("k", b"\x00done\xff", 60)
    assert await state.requests.claim("k", b"again", 60) == b"\x00done\xff"
    assert await state.requests.claim("other", b"begun", 60) is None


async def test_request_is_forgotten_in_time(state: State) -> None:
    await state.requests.claim("k", b"begun", 0.05)

    async def forgotten() -> bool:
        return await state.requests.claim("k", b"anew", 60) is None

    assert await until(forgotten)


async def test_memory_holds_so_many_and_makes_room_for_none_that_live() -> None:
    clock = Clock()
    requests = MemoryRequests(clock, most=2)
    await requests.claim("a", b"a", 10)
    await requests.claim("b", b"b", 100)
    with pytest.raises(StoreUnavailable):
        await requests.claim("c", b"c", 10)
    assert await requests.claim("b", b"again", 10) == b"b"
    clock.now += 20
    assert await requests.claim("c", b"c", 10) is None
