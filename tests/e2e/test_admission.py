"""From where browsers come, and how many of them are let in."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.refusals import ORIGIN, leave, refused_by_status
from tests.support.browser import browser
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.support.gateway import Gateway

pytestmark = pytest.mark.asyncio(loop_scope="package")


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://app.example.com", True),
        ("HTTPS://APP.EXAMPLE.COM:443", True),
        ("https://one.example.org", True),
        ("https://deep.one.example.org", True),
        ("https://example.org", False),
        ("http://app.example.com", False),
        ("https://app.example.com:8443", False),
        ("https://app.example.com.evil.example", False),
        ("https://evil-app.example.com", False),
        ("https://app.example.com@evil.example", False),
        ("https://evilexample.org", False),
        ("null", False),
        ("file://", False),
        ("https://app.example.com, https://evil.example", False),
        ("", False),
    ],
)
async def test_origin_is_judged_before_the_upgrade(
    strict: Gateway, origin: str, allowed: bool
) -> None:
    before = await strict.metric('relay_refusals_total{reason="origin"}')
    lines = len(strict.lines("browser_refused", reason="origin"))
    headers = {"origin": origin}
    if allowed:
        async with browser(f"{strict.ws}/ws/echo", additional_headers=headers) as page:
            assert (await page.refused())[1] == 4401
        return
    problem = await refused_by_status(f"{strict.ws}/ws/echo", additional_headers=headers)
    assert problem["status"] == 403
    assert await strict.metric('relay_refusals_total{reason="origin"}') == before + 1
    await until(lambda: len(strict.lines("browser_refused", reason="origin")) == lines + 1)


async def test_page_of_the_same_host_is_allowed_by_default(calm: Gateway) -> None:
    async with browser(f"{calm.ws}/ws/echo?call_type=chat", origin=calm.base) as page:
        await page.connected()
        await leave(page)
    for foreign in ("https://evil.example", f"http://localhost:{calm.port}", "null"):
        problem = await refused_by_status(
            f"{calm.ws}/ws/echo", additional_headers={"origin": foreign}
        )
        assert problem["status"] == 403


# Addresses and caps


async def test_forwarded_address_of_an_untrusted_peer_is_ignored(calm: Gateway) -> None:
    headers = {"x-forwarded-for": "203.0.113.7", "x-forwarded-host": "evil.example"}
    url = f"{calm.ws}/ws/echo?call_type=chat"
    async with browser(url, additional_headers=headers) as page:
        session = await page.connected()
        async with calm.api() as backend:
            row = (await backend.get(f"/v1/sessions/{session}")).json()
            minted = await backend.post("/v1/tickets", json={"subject": "u"}, headers=headers)
        await leave(page)
    assert row["address"] == "127.0.0.1"
    assert minted.json()["url"].startswith(f"{calm.ws}/ws?ticket=")
    calm.secrets["ticket behind a spoof"] = minted.json()["ticket"]


async def test_address_behind_a_trusted_proxy_is_the_last_untrusted_one(strict: Gateway) -> None:
    headers = {"x-forwarded-for": "9.9.9.9, 203.0.113.7, 127.0.0.1"}
    path = f"/ws/echo?call_type=chat&ticket={await strict.ticket()}"
    async with browser(strict.ws + path, origin=ORIGIN, additional_headers=headers) as page:
        session = await page.connected()
        async with strict.api() as backend:
            row = (await backend.get(f"/v1/sessions/{session}")).json()
        await leave(page)
    assert row["address"] == "203.0.113.7"


async def empty(gateway: Gateway) -> None:
    """Wait until no session is left, also of those whose browsers may still come back."""

    async def nobody() -> bool:
        async with gateway.api() as backend:
            return not (await backend.get("/v1/sessions")).json()["sessions"]

    await until(nobody)


async def crowd(gateway: Gateway, who: list[tuple[str, str]]) -> list[tuple[int, dict[str, Any]]]:
    """Let browsers (subject, address) come at once; return how each fared, once all have."""
    everybody = asyncio.Barrier(len(who))
    tickets = [await gateway.ticket(name) for name, _ in who]

    async def come(ticket: str, address: str) -> tuple[int, dict[str, Any]]:
        path = f"/ws/echo?call_type=chat&ticket={ticket}"
        headers = {"x-forwarded-for": address}
        async with browser(gateway.ws + path, origin=ORIGIN, additional_headers=headers) as page:
            first = await page.read()
            await everybody.wait()
            if first["type"] == "event":
                await leave(page)
                return 0, {}
            assert await page.closed() == first["data"]["code"]
            return first["data"]["code"], first["data"]

    await empty(gateway)
    addresses = [address for _, address in who]
    return await asyncio.gather(*(map(come, tickets, addresses)))


@pytest.mark.parametrize(
    ("who", "admitted", "code"),
    [
        ([("same", f"203.0.113.{n}") for n in range(5)], 2, 4429),
        ([(f"subject {n}", "203.0.113.9") for n in range(6)], 4, 4429),
        ([(f"subject {n}", f"2001:db8:0:1::{n}") for n in range(6)], 4, 4429),
        ([(f"subject {n}", f"203.0.113.{n}") for n in range(12)], 6, 4503),
    ],
    ids=["subject", "address", "network", "process"],
)
async def test_so_many_and_no_more(
    strict: Gateway, who: list[tuple[str, str]], admitted: int, code: int
) -> None:
    fared = await crowd(strict, who)
    assert sorted(one for one, _ in fared) == [0] * admitted + [code] * (len(who) - admitted)
    for one, error in fared:
        assert one == 0 or error["retryAfter"] > 0
    assert [one for one, _ in await crowd(strict, who[:admitted])] == [0] * admitted


async def test_cap_is_told_to_others_by_status_and_retry_after(strict: Gateway) -> None:
    await empty(strict)
    tickets = [await strict.ticket("capped") for _ in range(3)]
    urls = [f"{strict.ws}/ws/echo?call_type=chat&ticket={ticket}" for ticket in tickets]
    async with browser(urls[0], origin=ORIGIN) as one, browser(urls[1], origin=ORIGIN) as two:
        await one.connected()
        await two.connected()
        problem = await refused_by_status(urls[2])
        assert (problem["status"], problem["code"]) == (429, 4429)
        assert int(problem["headers"]["retry-after"]) >= 1
        await leave(one)
        await leave(two)


async def test_full_replica_says_so_to_balancers(strict: Gateway) -> None:
    await empty(strict)
    async with AsyncExitStack() as stack:
        pages = []
        for number in range(6):
            ticket = await strict.ticket(f"filler {number}")
            url = f"{strict.ws}/ws/echo?call_type=chat&ticket={ticket}"
            headers = {"x-forwarded-for": f"203.0.113.{number}"}
            coming = browser(url, origin=ORIGIN, additional_headers=headers)
            pages.append(await stack.enter_async_context(coming))
            await pages[-1].connected()
        async with strict.api() as client:
            answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()["reason"]) == (503, "overloaded")
        for page in pages:
            await leave(page)
