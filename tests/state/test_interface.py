"""What every implementation of the port must do, asked of each."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from app.state.interface import Caps, SessionRow
from tests.state.conftest import row
from tests.support.waiting import until

if TYPE_CHECKING:
    from app.state.interface import State

ROOMY = Caps(per_subject=1000, per_address=1000)


async def test_ticket_is_redeemed_once(state: State) -> None:
    await state.put_ticket("k", b"\x00payload\xff", 60)
    assert await state.take_ticket("k") == b"\x00payload\xff"
    assert await state.take_ticket("k") is None


async def test_unknown_ticket_is_nothing(state: State) -> None:
    assert await state.take_ticket("never") is None


async def test_ticket_runs_out(state: State) -> None:
    await state.put_ticket("lasting", b"1", 60)
    for attempt in range(100):
        await state.put_ticket(f"short{attempt}", b"1", 0.3)
    # Each look takes another ticket, until one has run out before it was looked at.
    tickets = iter(range(100))

    async def has_run_out() -> bool:
        return await state.take_ticket(f"short{next(tickets)}") is None

    await until(has_run_out, every=0.02)
    assert await state.take_ticket("lasting") == b"1"


async def test_100_tickets_and_20_racers_make_100_winners(state: State) -> None:
    for number in range(100):
        await state.put_ticket(f"t{number}", b"%d" % number, 60)
    racers = asyncio.Semaphore(200)

    async def redeem(number: int) -> bytes | None:
        async with racers:
            return await state.take_ticket(f"t{number}")

    payloads = await asyncio.gather(*(redeem(n) for n in range(100) for _ in range(20)))
    assert sorted(p for p in payloads if p is not None) == sorted(b"%d" % n for n in range(100))


async def test_entered_session_is_found_as_it_was(state: State) -> None:
    entered = row(phase="running", credential_id="c1", frames_in=3, bytes_out=70_000, tools=2)
    assert await state.enter(entered, ROOMY) is None
    assert await state.find("s1") == entered


async def test_unknown_session_is_not_found(state: State) -> None:
    assert await state.find("nobody") is None


async def test_subject_cap_is_full(state: State) -> None:
    caps = Caps(per_subject=2, per_address=10)
    assert await state.enter(row("s1"), caps) is None
    assert await state.enter(row("s2"), caps) is None
    assert await state.enter(row("s3"), caps) == "subject"
    assert await state.enter(row("s4", subject="bob"), caps) is None
    assert await state.find("s3") is None


async def test_address_cap_is_full(state: State) -> None:
    caps = Caps(per_subject=10, per_address=1)
    assert await state.enter(row("s1"), caps) is None
    assert await state.enter(row("s2", subject="bob"), caps) == "address"
    assert await state.enter(row("s3", subject="bob", address="192.0.2.2"), caps) is None


async def test_refused_session_holds_no_cap(state: State) -> None:
    full_address = Caps(per_subject=2, per_address=1)
    assert await state.enter(row("s1"), full_address) is None
    for number in range(5):
        assert await state.enter(row(f"x{number}"), full_address) == "address"
    assert await state.enter(row("s2", address="192.0.2.9"), full_address) is None


async def test_entering_again_holds_no_second_cap(state: State) -> None:
    caps = Caps(per_subject=1, per_address=1)
    assert await state.enter(row("s1"), caps) is None
    assert await state.enter(row("s1", phase="running"), caps) is None
    assert (await state.find("s1")) == row("s1", phase="running")


async def test_caps_hold_under_a_race(state: State) -> None:
    caps = Caps(per_subject=5, per_address=7)
    names = [f"s{n}" for n in range(100)]
    answers = await asyncio.gather(
        *(state.enter(row(n, subject=n[-1], address="one"), caps) for n in names)
    )
    assert answers.count(None) == 7
    assert len((await state.sessions()).rows) == 7


async def test_leaving_frees_the_caps(state: State) -> None:
    caps = Caps(per_subject=1, per_address=1)
    assert await state.enter(row("s1"), caps) is None
    await state.leave(row("s1"))
    assert await state.find("s1") is None
    assert await state.enter(row("s2"), caps) is None


async def test_leaving_twice_is_leaving_once(state: State) -> None:
    await state.enter(row("s1"), ROOMY)
    await state.enter(row("s2"), ROOMY)
    await state.leave(row("s1"))
    await state.leave(row("s1"))
    assert [r.id for r in (await state.sessions()).rows] == ["s2"]


async def test_refresh_publishes_the_row(state: State) -> None:
    await state.enter(row("s1"), ROOMY)
    await state.refresh([row("s1", phase="running", frames_in=7)])
    assert await state.find("s1") == row("s1", phase="running", frames_in=7)


async def test_refresh_registers_what_was_forgotten(state: State) -> None:
    caps = Caps(per_subject=1, per_address=9)
    await state.refresh([row("s1"), row("s2", subject="bob")])
    assert await state.find("s2") == row("s2", subject="bob")
    assert await state.enter(row("s3"), caps) == "subject"


async def test_refresh_of_nothing_is_nothing(state: State) -> None:
    await state.refresh([])
    assert (await state.sessions()).rows == ()


@pytest.mark.parametrize("state", ["memory", "redis"], indirect=True)
async def test_refresh_of_thousands(state: State) -> None:
    rows = [row(f"s{n:05}", subject=f"u{n}", address=f"a{n % 50}") for n in range(2500)]
    await state.refresh(rows)
    assert await state.find("s02499") == rows[-1]
    listed: list[SessionRow] = []
    cursor: str | None = None
    while True:
        page = await state.sessions(cursor, 700)
        listed += page.rows
        if (cursor := page.next) is None:
            break
    assert listed == rows


async def test_session_that_left_is_not_brought_back_by_a_refresh_under_way(state: State) -> None:
    # So large that the refresh takes a while, and whoever leaves overtakes it.
    rows = [row(f"s{n:04}", subject=f"u{n}" * 500, address=f"a{n}") for n in range(100)]
    gone = rows[-5:]
    for turns in range(12):
        await state.refresh(rows)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(state.refresh(rows))
            for _ in range(turns):
                await asyncio.sleep(0)
            for some in gone:
                tasks.create_task(state.leave(some))
        assert len((await state.sessions(limit=1000)).rows) == 95


async def test_pages_follow_each_other(state: State) -> None:
    for number in range(5):
        await state.enter(row(f"s{number}"), ROOMY)
    first = await state.sessions(limit=2)
    assert [r.id for r in first.rows] == ["s0", "s1"]
    second = await state.sessions(first.next, 2)
    assert [r.id for r in second.rows] == ["s2", "s3"]
    await state.leave(row("s4"))
    third = await state.sessions(second.next, 2)
    assert (third.rows, third.next) == ((), None)


async def test_revoked_credential_is_known(state: State) -> None:
    await state.revoke("c1", 60)
    await state.revoke("c3", 60)
    assert await state.revoked(["c1", "c2", "c3", "c1"]) == {"c1", "c3"}
    assert await state.revoked([]) == frozenset()


async def test_revocation_runs_out(state: State) -> None:
    await state.revoke("c1", 0.3)
    await state.revoke("c2", 60)

    async def only_the_longer_is_left() -> bool:
        return await state.revoked({"c1", "c2"}) == {"c2"}

    await until(only_the_longer_is_left, within=30)


async def test_message_comes_to_the_inbox_in_order(state: State) -> None:
    async def alive() -> bool:
        return await state.tell("a", b"first")

    await until(alive)
    for number in range(200):
        assert await state.tell("a", b"%d" % number)
    inbox = state.inbox()
    async with asyncio.timeout(20):
        assert await anext(inbox) == b"first"
        assert [await anext(inbox) for _ in range(200)] == [b"%d" % n for n in range(200)]
        assert await state.tell("a", b"\x00last\xff")
        assert await anext(inbox) == b"\x00last\xff"


async def test_nobody_is_told_in_vain(state: State) -> None:
    assert await state.tell("nobody", b"hello") is False


async def test_ping_answers(state: State) -> None:
    await state.ping()


async def test_claimant_may_ask_again_for_its_ticket_and_nobody_else(state: State) -> None:
    await state.put_ticket("k", b"1", 60)
    assert await state.take_ticket("k", "mine") == b"1"
    assert await state.take_ticket("k", "theirs") is None
    assert await state.take_ticket("k", "mine") == b"1"
    assert await state.take_ticket("k") is None


async def test_ticket_that_was_given_back_is_redeemed_once_by_another(state: State) -> None:
    await state.put_ticket("k", b"1", 60)
    assert await state.take_ticket("k", "first") == b"1"
    state.return_ticket("k", "first")

    async def others() -> list[bytes | None]:
        return await asyncio.gather(*(state.take_ticket("k") for _ in range(9)))

    async def redeemed() -> bool:
        won = [payload for payload in await others() if payload is not None]
        assert won in ([], [b"1"])
        return bool(won)

    await until(redeemed)
    assert not await redeemed()
    # What was given back twice, or by somebody who has no claim, is nobody else's.
    state.return_ticket("k", "first")
    state.return_ticket("k", "o99")
    await state.put_ticket("other", b"2", 60)
    assert await state.take_ticket("other", "o1") == b"2"
    state.return_ticket("other", "o1")
    await until(lambda: _taken(state, "other"))
    assert not await redeemed()


async def _taken(state: State, key: str) -> bool:
    return await state.take_ticket(key) is not None


async def test_given_back_ticket_runs_out_as_it_would_have(state: State) -> None:
    await state.put_ticket("k", b"1", 1.0)
    assert await state.take_ticket("k", "first") == b"1"
    state.return_ticket("k", "first")

    async def gone() -> bool:
        if await state.take_ticket("k", "second") is None:
            return await state.take_ticket("never") is None
        state.return_ticket("k", "second")
        return False

    await until(gone)


async def test_revoked_credential_does_not_enter(state: State) -> None:
    await state.revoke("c1", 60)
    assert await state.enter(row("s1", credential_id="c1"), ROOMY) == "revoked"
    assert await state.find("s1") is None
    assert await state.enter(row("s2", credential_id="c2"), ROOMY) is None
