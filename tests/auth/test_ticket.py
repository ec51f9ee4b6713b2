from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import pytest
from pydantic import SecretStr

from app.auth.ticket import TicketRequest, Tickets
from app.protocol.close_codes import UNAUTHENTICATED
from app.protocol.errors import Refusal, StoreUnavailable
from app.protocol.principal import CallType, Principal


class Store:
    """The port in memory, as the replicas' store has it: take is atomic."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.ttls: list[float] = []
        self.asked = 0
        self.claims: dict[str, object] = {}
        self.returned: list[str] = []

    async def put_ticket(self, key: str, payload: bytes, ttl: float) -> None:
        self.kept[key] = payload
        self.ttls.append(ttl)

    async def peek_ticket(self, key: str) -> bytes | None:
        return None if key in self.claims else self.kept.get(key)

    async def take_ticket(self, key: str, claimant: str | None = None) -> bytes | None:
        self.asked += 1
        await asyncio.sleep(0)
        mine = claimant or object()
        return self.kept.get(key) if self.claims.setdefault(key, mine) == mine else None

    def return_ticket(self, key: str, claimant: str) -> None:
        self.returned.append(key)
        if self.claims.get(key) == claimant:
            del self.claims[key]


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tickets(store: Store, clock: Clock) -> Tickets:
    return Tickets(store, clock=clock)


async def test_a_ticket_becomes_the_principal_it_was_minted_for(
    tickets: Tickets, store: Store, clock: Clock
) -> None:
    request = TicketRequest(
        "customer-7", "support", CallType.CHAT, "+4930123", {"plan": "gold"}, ttl=30
    )
    minted = await tickets.mint(request)
    assert minted.expires_at == clock.now + 30
    assert store.ttls == [30]
    principal = await tickets.redeem(minted.ticket, None)
    assert principal == Principal(
        "customer-7",
        "ticket",
        agent="support",
        call_type=CallType.CHAT,
        endpoint="+4930123",
        additional_data={"plan": "gold"},
        credential_id=hashlib.sha256(minted.ticket.get_secret_value().encode()).hexdigest(),
    )


async def test_a_ticket_is_good_once(tickets: Tickets) -> None:
    minted = await tickets.mint(TicketRequest("a"))
    results = await asyncio.gather(
        *(tickets.redeem(minted.ticket, None) for _ in range(20)), return_exceptions=True
    )
    winners = [result for result in results if isinstance(result, Principal)]
    losers = [result for result in results if isinstance(result, Refusal)]
    assert len(winners) == 1
    assert len(losers) == 19
    assert all(refusal.reason is UNAUTHENTICATED for refusal in losers)


async def test_a_ticket_expires_even_if_the_store_kept_it(tickets: Tickets, clock: Clock) -> None:
    minted = await tickets.mint(TicketRequest("a"))
    clock.now += 60
    with pytest.raises(Refusal):
        await tickets.redeem(minted.ticket, None)


async def test_a_ticket_tried_from_another_origin_is_refused_and_not_burnt(
    tickets: Tickets,
) -> None:
    minted = await tickets.mint(TicketRequest("a", origin="HTTPS://app.example.com:443"))
    for origin in ("https://evil.example", "null", None, ""):
        with pytest.raises(Refusal):
            await tickets.redeem(minted.ticket, origin)
    principal = await tickets.redeem(minted.ticket, "https://app.example.com")
    assert principal.origin == "https://app.example.com"


async def test_a_plain_ticket_serves_any_allowed_origin(tickets: Tickets) -> None:
    minted = await tickets.mint(TicketRequest("a"))
    assert await tickets.redeem(minted.ticket, "https://app.example.com")


async def test_the_store_sees_no_ticket(tickets: Tickets, store: Store) -> None:
    for origin in (None, "https://app.example.com"):
        minted = await tickets.mint(TicketRequest("a", origin=origin))
        text = minted.ticket.get_secret_value()
        assert text not in str(store.kept)
        assert text not in repr(minted)
        assert "." not in text


async def test_tickets_are_256_random_bits(store: Store) -> None:
    sizes: list[int] = []

    def random(size: int) -> bytes:
        sizes.append(size)
        return b"\xff" * size

    minted = await Tickets(store, random=random).mint(TicketRequest("a"))
    assert sizes == [32]
    assert minted.ticket.get_secret_value() == "bbt_" + "_" * 42 + "8"


@pytest.mark.parametrize(
    "text",
    ["", "x", "bbt_", "bbt_" + "a" * 42, "bbt_" + "a" * 44, "bbt_" + "é" * 43, "a.b", "bbt_\n"],
)
async def test_what_cannot_be_a_ticket_costs_the_store_nothing(
    text: str, tickets: Tickets, store: Store
) -> None:
    with pytest.raises(Refusal):
        await tickets.redeem(SecretStr(text), None)
    assert store.asked == 0


@pytest.mark.parametrize(
    "options",
    [
        {"ttl": 0},
        {"ttl": -1},
        {"ttl": 300.1},
        {"ttl": float("nan")},
        {"origin": "app.example.com"},
        {"subject": ""},
        {"subject": "x" * 513},
        {"agent": ""},
    ],
)
def test_what_cannot_be_minted_is_said(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"ttl is|origin is|cannot be used"):
        TicketRequest(**{"subject": "a", **options})


def test_data_is_bounded_and_json() -> None:
    with pytest.raises(ValueError, match="larger than"):
        TicketRequest("a", additional_data={"x": "y" * 20_000})
    for odd in (object(), "\ud800", 2**70, {1: "x"}):
        with pytest.raises(ValueError, match="no JSON"):
            TicketRequest("a", additional_data={"x": odd})


async def test_a_lost_store_is_told_as_such() -> None:
    class Lost(Store):
        async def take_ticket(self, key: str, claimant: str | None = None) -> bytes | None:
            raise StoreUnavailable(f"no answer for {len(key)} {claimant}")

    with pytest.raises(StoreUnavailable):
        await Tickets(Lost()).redeem(SecretStr("bbt_" + "a" * 43), None)


async def test_a_handshake_may_redeem_its_ticket_again_and_nobody_else(tickets: Tickets) -> None:
    minted = await tickets.mint(TicketRequest("a"))
    first = await tickets.redeem(minted.ticket, None, "mine")
    assert await tickets.redeem(minted.ticket, None, "mine") == first
    with pytest.raises(Refusal):
        await tickets.redeem(minted.ticket, None, "another")


async def test_a_ticket_that_was_given_back_is_redeemed_by_the_next(tickets: Tickets) -> None:
    origin = "https://app.example.com"
    minted = await tickets.mint(TicketRequest("a", origin=origin))
    principal = await tickets.redeem(minted.ticket, origin, "mine")
    tickets.release(principal, "somebody else's")
    with pytest.raises(Refusal):
        await tickets.redeem(minted.ticket, origin, "next")
    tickets.release(principal, "mine")
    assert await tickets.redeem(minted.ticket, origin, "next") == principal
    with pytest.raises(Refusal):
        await tickets.redeem(minted.ticket, origin, "mine")


def test_only_a_ticket_is_given_back(tickets: Tickets, store: Store) -> None:
    tickets.release(Principal("a", "jwt", credential_id="jti"), "mine")
    tickets.release(Principal("a", "open"), "mine")
    assert store.returned == []
