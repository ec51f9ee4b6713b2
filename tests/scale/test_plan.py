"""What the simulation asks for fills its caps exactly, whatever the order."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from app.state.interface import Caps
from app.state.memory import MemoryState
from tests.scale.backend import facts, packed, parse
from tests.scale.plan import CAPS, Plan, not_full


@pytest.mark.parametrize("size", [1_000, 10_000, 50_000])
@pytest.mark.parametrize("workers", [1, 3, 8])
def test_every_attempt_is_made_once_by_one_process(size: int, workers: int) -> None:
    plan = Plan(size)
    numbers = [ask.number for at in range(workers) for ask in plan.share(at, workers)]
    assert sorted(numbers) == list(range(plan.asks()))
    assert plan.asks() > plan.places == size


async def test_each_cap_is_full_exactly_whatever_the_order() -> None:
    plan, state = Plan(2_000), MemoryState("a")
    asks = list(plan.share(0, 1))
    random.Random(5).shuffle(asks)  # noqa: S311 - no secret
    held: Counter[str] = Counter()
    for ask in asks:
        if await state.enter(ask.row(str(ask.number), "a"), CAPS) is None:
            held[ask.subject] += 1
            held[ask.address] += 1
    assert (await state.sessions(limit=1)).total == plan.places
    assert not not_full(CAPS.per_subject, held, "subject", plan.subjects)
    assert not not_full(CAPS.per_address, held, "nat", plan.addresses)
    assert max(count for name, count in held.items() if name.startswith("10.")) < CAPS.per_address
    assert Caps(10, 50) == CAPS


def test_cap_with_a_free_place_or_one_too_many_is_named() -> None:
    assert not_full(2, {"x0": 2, "x1": 1, "x2": 3}, "x", 4) == [
        "x1: 1 of 2",
        "x2: 3 of 2",
        "x3: 0 of 2",
    ]


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        (b"+OK\r\n", b"OK"),
        (b":-7\r\n", -7),
        (b"$-1\r\n", None),
        (b"$3\r\na\r\n\r\n", b"a\r\n"),
        (b"*3\r\n:1\r\n$0\r\n\r\n*1\r\n$-1\r\n", [1, b"", [None]]),
    ],
)
def test_reply_is_read_whole_and_not_before(reply: bytes, value: object) -> None:
    assert parse(b"?" + reply + b":1\r\n", 1) == (value, 1 + len(reply))
    for size in range(len(reply)):
        assert parse(reply[:size], 0) is None


def test_command_is_packed_as_redis_reads_it() -> None:
    assert packed(("SET", "ä", 5, b"\x00")) == (
        b"*4\r\n$3\r\nSET\r\n$2\r\n\xc3\xa4\r\n$1\r\n5\r\n$1\r\n\x00\r\n"
    )
    assert facts(b"# A\r\nrole:master\r\nmaster_replid:ab:c\r\n") == {
        "role": "master",
        "master_replid": "ab:c",
    }
