"""What somebody else's client stumbles over: tickets beside open auth, wishes, keys, call types."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
import pytest_asyncio

from app.cli.quickstart import DEMO_AGENTS
from tests.support import gateway as processes
from tests.support.browser import browser
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.gateway import Emulator, Gateway

pytestmark = pytest.mark.asyncio(loop_scope="package")
VENDOR_PATH = "/api/v1/ws/webCall"


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def quick(vendor: Emulator) -> AsyncIterator[Gateway]:
    """As `make run` has it: open authentication alone, and its agents; one more takes every key."""
    agents = DEMO_AGENTS | {
        "all_keys": {"client_data_keys": "*", "sdp_fields": "both"},
        "plain_sdp": {"client_data_keys": "*"},
    }
    async with processes.gateway(vendor.url, auth="open", agents=agents) as running:
        yield running


async def test_without_an_agent_in_the_url_both_chat_and_voice_are_served(quick: Gateway) -> None:
    for call_type, first in (("chat", "text"), ("webCall", "sdpInvite")):
        async with browser(f"{quick.ws}{VENDOR_PATH}") as page:
            await page.wish(call_type)
            await page.connected()
            await page.frame(first)


async def test_a_ticket_decides_agent_and_call_type_where_auth_is_open_alone(
    quick: Gateway,
) -> None:
    ticket = await quick.ticket("ann", agent="voice", call_type="webCall")
    async with browser(f"{quick.ws}{VENDOR_PATH}?token={ticket}") as page:
        await page.wish("chat")
        session = await page.started()
        told = (await page.frame("error"))["data"]
        assert (told["code"], told["retry"]) == (4403, "no")
        assert "webCall, not chat" in told["message"]
        await page.frame("sdpInvite")
    first = page.frames[0]["data"]
    assert (first["agent"], first["callType"]) == ("voice", "webCall")
    (line,) = quick.lines("call_type_overridden", session=session)
    assert (line["asked"], line["used"]) == ("chat", "webCall")
    async with browser(f"{quick.ws}{VENDOR_PATH}?token={ticket}", origin=quick.base) as page:
        assert (await page.refused())[1] == 4401  # a ticket that is used is not taken for nobody


async def test_any_other_credential_is_nobody_s_where_auth_is_open(quick: Gateway) -> None:
    async with browser(f"{quick.ws}/ws?call_type=chat&token=of-another-kind") as page:
        await page.connected()


async def test_ignored_keys_are_told_once_in_log_and_page(quick: Gateway) -> None:
    async with browser(f"{quick.ws}/ws/support", native=True) as page:
        await page.wish("chat", basket=7, plan="pro")
        session = await page.started()
        told = await page.frame("event", "relay.warning")
        assert told["data"]["keys"] == ["basket", "plan"]
        await page.frame("event", "connection")
    (line,) = quick.lines("client_data_ignored", session=session)
    assert line["keys"] == "basket, plan"


async def test_every_key_passes_and_an_offer_has_both_names_where_the_profile_says_so(
    quick: Gateway, vendor: Emulator
) -> None:
    for field in ("invite", "sdpOffer"):
        marker = uuid4().hex
        async with browser(f"{quick.ws}/ws/all_keys", native=True) as page:
            await page.wish("webCall", marker=marker, anything={"at": "all"}, sdpField=field)
            data = (await page.frame("sdpInvite"))["data"]
            assert data["invite"] == data["sdpOffer"] != ""
            assert not [one for one in page.frames if one.get("name") == "relay.warning"]
            await page.terminate()
        opening = (await vendor.conversation(marker))["received"][0]["frame"]
        assert opening["devRequest"]["additionalData"]["anything"] == {"at": "all"}
    async with browser(f"{quick.ws}/ws/plain_sdp", native=True) as page:
        await page.wish("webCall", sdpField="invite")
        assert list((await page.frame("sdpInvite"))["data"]) == ["invite"]


async def test_a_message_before_initialize_is_answered(quick: Gateway) -> None:
    async with browser(f"{quick.ws}{VENDOR_PATH}") as page:
        await page.say("too soon")
        assert "Init message not received" in (await page.frame("error"))["data"]["message"]
        await page.wish("chat")
        await page.connected()
        await page.frame("text")


async def test_unknown_frames_are_shown_by_shape_to_operators_alone(quick: Gateway) -> None:
    for _ in range(3):  # the emulator varies what is unknown
        async with browser(f"{quick.ws}/ws/echo?call_type=chat") as page:
            await page.talks("SECRET words")
            await page.terminate()
    async with quick.api() as backend:
        answer = await backend.get("/v1/drift")
        assert (await backend.get("/v1/drift", headers={"authorization": ""})).status_code == 401
    told = answer.json()
    assert {one["kind"] for one in told["shapes"]} == {"type", "field", "event"}
    assert {"type": "agentState", "data": {"state": "string", "score": "number"}} in [
        {key: value for key, value in one["shape"].items() if key in {"type", "data"}}
        for one in told["shapes"]
    ]
    assert "SECRET" not in answer.text
    await until(lambda: quick.lines("upstream_unknown"))
    assert await quick.metric('relay_upstream_unknown_types_total{kind="event"}') >= 1


async def test_partial_texts_pass_for_both_sources(quick: Gateway) -> None:
    async with browser(f"{quick.ws}/ws/all_keys", native=True) as page:
        await page.wish("chat", partials=True, agent="echo")
        await page.connected()
        for words in ("the first of my words", "and the second ones", "and the third"):
            await page.talks(words)
        await page.terminate()
    contents = [frame["content"] for frame in page.frames if frame["type"] == "text"]
    partial = [one for one in contents if one.get("type") == "potential"]
    assert {one["source"] for one in partial} == {"user", "assistant"}
    assert all(one["text"] for one in partial)
