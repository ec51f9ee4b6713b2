"""A replica is killed while a person talks with a customer: both pages in Chromium, PostgreSQL."""

from __future__ import annotations

from contextlib import asynccontextmanager
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.console.conftest import ASKS
from tests.console.pages import at_the_console
from tests.pages.cutter import Cutter
from tests.replicas.pair import replica_pair
from tests.support import oidc
from tests.support.gateway import AGENTS, SERVICE_TOKEN
from tests.support.postgres import Postgres
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, Page

    from tests.replicas.pair import ReplicaPair
    from tests.support.oidc import Provider

pytestmark = pytest.mark.asyncio(loop_scope="package")
OTTO = {"sub": "operator-1", "name": "Otto Operator", "roles": ["operator"]}
ASKED = ["Where is my parcel?", "Are you still there?"]
SUMMARY = "Otto has told her that the parcel comes on Friday."
WIDGET = """async (url) => {
    const credential = () => window.mint();
    await import('/widget.js');
    const chat = document.createElement('blackbox-relay-chat');
    const options = { backoff: { first: 0.1 }, renew: true };
    Object.assign(chat, { url, credential, callTypes: 'chat', options });
    chat.style = 'width: 400px; height: 500px';
    document.body.replaceChildren(chat);
    chat.id = 'chat';
    chat.addEventListener('relay-client', ({ detail: client }) => {
        client.on('resumed', () => (window.resumes = (window.resumes ?? 0) + 1));
    });
    await chat.start('chat');
}"""


class Fronts:
    """What stands before the replicas: one address for the customer, one for the console."""

    def __init__(self, pair: ReplicaPair) -> None:
        self.pair = pair
        self.customer, self.console = (Cutter(pair.ports[0], seed=n) for n in (1, 2))
        self.customer.cutting = self.console.cutting = False

    def lead_to(self, replica: int) -> None:
        """Reset all connections; the next ones go to this replica."""
        for front in (self.customer, self.console):
            front.target = self.pair.ports[replica]
            front.cut_all()


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def fronts(
    tmp_path_factory: pytest.TempPathFactory, provider: Provider
) -> AsyncIterator[Fronts]:
    with Postgres() as server:
        async with replica_pair(
            tmp_path_factory.mktemp("killed"),
            auth="ticket,open",
            agents=AGENTS | {"asks": ASKS},
            history_url=await server.database(),
            service_tokens=SERVICE_TOKEN,
            console_oidc_issuer=provider.issuer,
            console_oidc_client_id=oidc.CLIENT,
            console_oidc_client_secret=oidc.SECRET,
        ) as pair:
            fronts = Fronts(pair)
            async with fronts.customer.serving(), fronts.console.serving():
                yield fronts


@asynccontextmanager
async def customer(fronts: Fronts, browser: Browser, marker: str) -> AsyncIterator[Page]:
    """A page with the widget, whose chat is on the first replica."""
    markers = chain((marker,), repeat(f"{marker}-anew"))

    async def mint() -> str:
        base = f"http://127.0.0.1:{fronts.customer.target}"
        told = {"marker": next(markers)}
        minted = await fronts.pair.mint(base, agent="asks", additional_data=told)
        return str(minted["ticket"])

    page = await browser.new_page()
    await page.expose_function("mint", mint)
    await page.goto(f"{fronts.pair.replicas[0].base}/console")
    url = f"ws://127.0.0.1:{fronts.customer.port}/ws/asks"
    await page.evaluate(WIDGET, url)
    yield page
    await page.close()


async def type_in(page: Page, text: str) -> None:
    await page.get_by_label("Your message", exact=True).fill(text)
    await page.keyboard.press("Enter")


async def answer(console: Page, text: str) -> None:
    await console.get_by_label("Your message to the customer").fill(text)
    await console.keyboard.press("Enter")


async def told_to_agent(pair: ReplicaPair, marker: str) -> list[str]:
    found = (await pair.vendor.conversation(marker))["received"]
    return [f["frame"]["content"] for f in found if f["frame"]["type"] == "incomingChatMessage"]


async def turns(pair: ReplicaPair, session: str) -> list[tuple[str, bool, str]]:
    """Who said what, as the surviving replica's history has it, once that is complete."""
    url = f"{pair.replicas[0].base}/v1/conversations/{session}"

    async def kept() -> list[dict[str, Any]]:
        if (await pair.backend.get(url)).json().get("ended_at") is None:
            return []
        found: list[dict[str, Any]] = (await pair.backend.get(f"{url}/transcript")).json()["turns"]
        return found

    return [(turn["speaker"], turn["held"], turn["text"]) for turn in await until(kept)]


async def test_customer_and_operator_go_on_when_the_replica_of_both_is_killed(
    fronts: Fronts, provider: Provider, browser: Browser
) -> None:
    """The killed replica serves both pages; the other one has the conversation."""
    pair = fronts.pair
    async with customer(fronts, browser, "killed") as page:
        session = await page.evaluate("() => chat.client.session.sessionId")
        assert await pair.owner(session) == 0
        fronts.lead_to(1)
        await page.wait_for_function("() => window.resumes === 1")
        base = f"http://127.0.0.1:{fronts.console.port}"
        async with at_the_console(browser, base, provider, OTTO) as console:
            await type_in(page, "good morning")
            await expect(page.locator(".assistant .bubble").last).to_contain_text("good morning")
            await type_in(page, "a person, please")
            take = console.locator("#people").get_by_role("button", name="Take over asks")
            await take.click()
            await expect(page.locator(".note", has_text="has joined")).to_have_count(1)
            await answer(console, "Hello, I am Otto.")
            bubble = page.locator('.turn[data-speaker="operator"] .bubble')
            await expect(bubble).to_have_text("Hello, I am Otto.")
            await type_in(page, "Where is my parcel?")
            await expect(console.locator("#turns")).to_contain_text("Where is my parcel?")

            await pair.replicas[1].kill()
            fronts.customer.target = pair.ports[0]
            fronts.customer.cut_all()
            await page.wait_for_function("() => window.resumes === 2")
            await type_in(page, "Are you still there?")  # while the console has no replica
            await expect(page.locator(".user .bubble").last).to_have_text("Are you still there?")
            await until(lambda: turn_is_stored(pair, session, "Are you still there?"))
            fronts.lead_to(0)

            heard = console.locator("#turns li.user .text")
            await expect(heard.last).to_contain_text("Are you still there?", timeout=20_000)
            await expect(console.locator("#speak")).to_be_visible()
            await answer(console, "I am. It comes on Friday.")
            await expect(bubble.last).to_have_text("I am. It comes on Friday.")
            await console.get_by_role("button", name="Hand back").click()
            await console.get_by_label("What the agent should know").fill(SUMMARY)
            await console.locator("dialog").get_by_role("button", name="Hand back").click()
            await expect(page.locator(".note", has_text="has left")).to_have_count(1)
            words = " ".join(await heard.all_text_contents())
            assert [words.count(said) for said in ASKED] == [1, 1], words
        await type_in(page, "thank you")
        await expect(page.locator(".assistant .bubble").last).to_contain_text("thank you")
        assert (await told_to_agent(pair, "killed"))[-3:] == [
            "a person, please",
            SUMMARY,
            "thank you",
        ]
        await page.evaluate("() => chat.client.hangUp()")
    found = await turns(pair, session)
    assert found[found.index(("operator", False, "Hello, I am Otto.")) :] == [
        ("operator", False, "Hello, I am Otto."),
        ("user", False, " ".join(ASKED)),
        ("operator", False, "I am. It comes on Friday."),
        ("operator", True, SUMMARY),
        ("agent", False, SUMMARY),
        ("user", False, "thank you"),
        ("agent", False, "thank you"),
    ]
    assert await pair.violations() == []


@pytest.mark.nightly
async def test_customer_begins_anew_when_the_replica_that_has_the_conversation_is_killed(
    fronts: Fronts, provider: Provider, browser: Browser
) -> None:
    """Its socket to the vendor died with it: what was said is in history, the takeover is over."""
    pair = fronts.pair
    if getattr(pair.replicas[1].process, "returncode", None) is not None:
        await pair.start(1)  # the other test has killed it
    fronts.lead_to(0)
    async with customer(fronts, browser, "owner") as page:
        lost = await page.evaluate("() => chat.client.session.sessionId")
        assert await pair.owner(lost) == 0
        fronts.console.target = pair.ports[1]
        base = f"http://127.0.0.1:{fronts.console.port}"
        async with at_the_console(browser, base, provider, OTTO) as console:
            take = console.locator("#people").get_by_role("button", name="Take over asks")
            await type_in(page, "a person, please")
            await take.click()
            await answer(console, "Hello, I am Otto.")
            await type_in(page, ASKED[0])
            await expect(console.locator("#turns")).to_contain_text(ASKED[0])
            await until(lambda: turn_is_stored(pair, lost, ASKED[0], of=1))
            await pair.replicas[0].kill()
            fronts.customer.target = pair.ports[1]
            fronts.customer.cut_all()
            await page.wait_for_function(
                "(lost) => chat.client.session && chat.client.session.sessionId !== lost", arg=lost
            )
            await expect(page.locator(".note", has_text="has left")).to_have_count(1)
            assert await page.evaluate("() => chat.client.takeover") is None
            ended = "This conversation has ended."
            await expect(console.locator("#talk-fault")).to_have_text(ended, timeout=60_000)
            await expect(console.locator("#speak")).to_be_hidden()
            await type_in(page, "a person, please")
            await take.click()
            await answer(console, "Here I am again.")
            bubble = page.locator('.turn[data-speaker="operator"] .bubble')
            await expect(bubble.last).to_have_text("Here I am again.")
        assert await told_to_agent(pair, "owner-anew") == ["a person, please"]
        kept = await pair.backend.get(f"{pair.replicas[1].base}/v1/conversations/{lost}/transcript")
        said = [(turn["speaker"], turn["text"]) for turn in kept.json()["turns"]]
        assert said[-2:] == [("operator", "Hello, I am Otto."), ("user", ASKED[0])]


async def turn_is_stored(pair: ReplicaPair, session: str, text: str, of: int = 0) -> bool:
    url = f"{pair.replicas[of].base}/v1/conversations/{session}/transcript"
    answer = await pair.backend.get(url)
    return answer.status_code == 200 and text in answer.text
