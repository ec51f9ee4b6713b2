"""Addresses that cannot work, sockets that are dead without a word, pages that come back."""

# ruff: noqa: E501 - lines of the scripts that run in the page
from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import until

if TYPE_CHECKING:
    from playwright.async_api import Page

    from tests.pages.stub import StubGateway

pytestmark = pytest.mark.asyncio(loop_scope="session")

COLLECT = (Path(__file__).parent / "collect.js").read_text()
REFUSED = """(error) => [error.code, error.name, error.retry, error.message]"""


class Swallower(TcpProxy):
    """A TCP proxy that can stop passing bytes on without closing anything, as a firewall does."""

    def __init__(self, target: int) -> None:
        super().__init__(target)
        self.swallowing: set[asyncio.StreamWriter] = set()

    def swallow(self) -> None:
        """From here on nothing passes in the connections that are there; new ones work."""
        self.swallowing |= self.writers

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, to = await asyncio.open_connection("127.0.0.1", self.target)
        self.writers |= {writer, to}
        await asyncio.gather(self._pump(reader, to), self._pump(there, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(4096):
                if writer not in self.swallowing:
                    writer.write(data)
        if writer not in self.swallowing:
            writer.close()


@pytest.mark.parametrize("said", [True, False], ids=["while writing", "while idle"])
async def test_a_half_open_socket_is_noticed_in_seconds_and_loses_nothing(
    page: Page, gateway: StubGateway, said: bool
) -> None:
    async with Swallower(gateway.port).serving() as network:
        await page.evaluate(COLLECT)
        await page.evaluate(
            """async (port) => {
                const url = `ws://127.0.0.1:${port}/ws`;
                await watch(new RelayClient({ url, agent: 'echo', turnGap: 0.1, heartbeat: 3 })).open();
            }""",
            network.port,
        )
        await page.wait_for_function("() => seen.turns.length === 1")
        network.swallow()
        (talk,) = gateway.conversations
        await talk.text("said into the void")
        if said:
            await page.evaluate(
                "() => { for (const one of [1, 2, 3, 4, 5]) chat.send(`m${one}`); }"
            )
        await page.wait_for_function("() => seen.states.length >= 3", timeout=20_000)
        states = await page.evaluate("() => seen.states")
        assert [one["state"] for one in states[:3]] == ["live", "resuming", "live"]
        assert (states[1]["code"], states[1]["delay"]) == (1006, 0)
        await page.wait_for_function("() => seen.turns.includes('assistant: said into the void')")
        if said:
            await page.wait_for_function(
                "() => seen.turns.filter((t) => /^user: m/.test(t)).length === 5"
            )
            texts = [one["content"] for one in talk.arrived if one["type"] != "initialize"]
            assert texts == ["m1", "m2", "m3", "m4", "m5"]
        assert len(gateway.conversations) == 1


async def test_pings_come_only_after_quiet_and_acknowledge_what_was_said(
    page: Page, gateway: StubGateway
) -> None:
    await page.evaluate(COLLECT)
    await page.evaluate(
        "async () => { await watch(new RelayClient({ agent: 'silent', heartbeat: 1 })).open(); }"
    )
    (talk,) = gateway.conversations
    await page.wait_for_timeout(2600)
    assert 1 <= talk.pings <= 3
    assert await page.evaluate("() => chat.state") == "live"
    assert await page.evaluate("() => seen.states.length") == 1
    assert talk.sent == 0
    assert [frame["type"] for frame in talk.arrived] == ["initialize"]


async def test_a_gateway_that_knows_no_pings_is_asked_once(
    page: Page, gateway: StubGateway
) -> None:
    gateway.knows_pings = False
    await page.evaluate("""async () => {
        window.errors = [];
        window.chat = new RelayClient({ agent: 'silent', heartbeat: 0.3 });
        chat.on('error', (error) => errors.push(error.code));
        await chat.open();
    }""")
    (talk,) = gateway.conversations
    await page.wait_for_timeout(1500)
    assert talk.pings == 1
    assert await page.evaluate("() => [errors, chat.state]") == [[], "live"]


@pytest.mark.parametrize("event", ["focus", "pageshow", "visibilitychange", "online"])
async def test_a_page_that_comes_back_dials_at_once(
    page: Page, gateway: StubGateway, event: str
) -> None:
    await page.evaluate("""async () => {
        const backoff = { first: 20, most: 20, random: () => 1 };
        window.chat = await RelayClient.connect({ agent: 'silent', backoff });
    }""")
    gateway.refusals = [{"abort": True}]
    (talk,) = gateway.conversations
    await talk.close()
    await until(lambda: len(gateway.dials) == 2, within=18)
    await page.wait_for_timeout(1100)
    took = await page.evaluate(
        """async (event) => {
            const target = event === 'visibilitychange' ? document : window;
            const started = performance.now();
            const live = new Promise((done) => chat.on('resumed', done));
            target.dispatchEvent(new Event(event));
            await live;
            return performance.now() - started;
        }""",
        event,
    )
    assert took < 1500  # by back-off alone it would be up to 3 s from the loss, and 1.1 s are gone


async def test_no_wait_is_long_while_a_resume_is_possible_and_the_last_is_inside_the_window(
    page: Page,
) -> None:
    got = await page.evaluate("""async () => {
        const { resumeDelay } = await import('/client/backoff.js');
        const one = { random: () => 1 };
        return [
            [0, 1, 2, 3, 9].map((n) => resumeDelay(n, 25, one)),
            [4, 3, 2, 1.5].map((left) => resumeDelay(9, left, one)),
            resumeDelay(0, 30, { retryAfter: 5, random: () => 0 }),
            resumeDelay(0, 4, { retryAfter: 5, random: () => 0 }),
        ];
    }""")
    assert got == [[1, 2, 3, 3, 3], [3, 2, 1, 0.5], 5, 3]


@pytest.mark.parametrize(
    "options",
    [
        "{ url: 'wss://' }",
        "{ url: 'ftp://example.com/ws' }",
        "{ url: 'ws://localhost:99999/ws' }",
        "{ WebSocket: null }",
        "{ WebSocket: class { constructor() { throw new DOMException('insecure', 'SecurityError'); } } }",
    ],
)
async def test_what_cannot_work_is_told_at_once_and_not_tried_again(
    page: Page, options: str
) -> None:
    got = await page.evaluate(f"""async () => {{
        let asked = 0;
        const credential = () => {{ asked += 1; return 'ticket'; }};
        const states = [];
        const chat = new RelayClient({{ credential, ...{options} }});
        chat.on('state', ({{ state }}) => states.push(state));
        return [await chat.open().catch({REFUSED}), states, asked];
    }}""")
    (code, name, retry, message), states, asked = got
    assert (code, name, retry, states) == (0, "bad_address", "no", ["ended"])
    assert len(message) > 20
    assert asked <= 1


@pytest.mark.parametrize("throws", ["() => { throw new Error('x'); }", "async () => { throw 1; }"])
async def test_a_callback_that_fails_is_a_missing_credential_and_blocks_no_resume(
    page: Page, gateway: StubGateway, throws: str
) -> None:
    refused = await page.evaluate(
        f"() => RelayClient.connect({{ credential: {throws}, attempts: 1 }}).catch({REFUSED})"
    )
    assert refused[:3] == [4401, "unauthenticated", "reconnect"]
    assert gateway.dials == []
    await page.evaluate(f"""async () => {{
        let first = true;
        const fails = {throws};
        const credential = (why) => (first ? ((first = false), 'ticket') : fails(why));
        window.chat = await RelayClient.connect({{ agent: 'silent', credential, backoff: {{ first: 0.1 }} }});
    }}""")
    (talk,) = gateway.conversations
    await talk.close()
    await until(lambda: talk.resumes == 1)
    await page.wait_for_function("() => chat.state === 'live'")


async def test_an_absolute_address_works_in_srcdoc_and_blob_frames(
    page: Page, gateway: StubGateway
) -> None:
    got: Any = await page.evaluate(
        """async (url) => {
            const { socketAddress } = await import('/client/address.js');
            const frame = document.createElement('iframe');
            frame.srcdoc = '<p>inside</p>';
            document.body.append(frame);
            await new Promise((done) => (frame.onload = done));
            const inside = frame.contentDocument.baseURI;
            return [inside, socketAddress(url, 'echo', {}), socketAddress('/x?a=1#b', '', { c: 2, d: null })];
        }""",
        "https://relay.example.com",
    )
    assert got == [
        f"{gateway.url}/blank",
        "wss://relay.example.com/ws/echo",
        f"ws://127.0.0.1:{gateway.port}/x?a=1&c=2",
    ]


async def test_an_abort_while_the_gateway_is_dialled_leaves_no_conversation(
    page: Page, gateway: StubGateway
) -> None:
    for delay in (0, 1, 3, 6, 12, 25):
        await page.evaluate(
            """async (delay) => {
                const stop = new AbortController();
                const opening = RelayClient.connect({ agent: 'silent', signal: stop.signal });
                const told = opening.then((chat) => chat.closed, (error) => error);
                await new Promise((next) => setTimeout(next, delay));
                stop.abort();
                if ((await told).code !== 1000) throw await told;
            }""",
            delay,
        )
    await until(lambda: all(talk.ended for talk in gateway.conversations))


async def test_a_hang_up_is_shown_at_once(page: Page, gateway: StubGateway) -> None:
    got = await page.evaluate("""async () => {
        const states = [];
        const chat = await RelayClient.connect({ agent: 'silent' });
        chat.on('state', ({ state }) => states.push(state));
        const ended = chat.hangUp();
        states.push(chat.state);
        await ended;
        return states;
    }""")
    assert got == ["ending", "ending", "ended"]
    assert gateway.conversations[0].arrived[-1]["type"] == "terminate"


KEPT = """async (keep) => {
    Object.assign(window, await import('/client.js'));
    const chat = new RelayClient({ agent: 'echo', turnGap: 0.1, keep });
    window.chat = chat;
    window.restored = null;
    chat.on('restored', ({ turns }) => { restored = turns.map(({ text }) => text); });
    await chat.open();
}"""


async def test_a_kept_chat_goes_on_after_a_reload_and_a_change_of_pages(
    page: Page, gateway: StubGateway
) -> None:
    await page.evaluate(KEPT, True)
    await page.evaluate("() => chat.send('before')")
    await page.wait_for_function("() => chat.turns.length === 3")
    (talk,) = gateway.conversations
    for count, where in ((1, f"{gateway.url}/blank"), (2, f"{gateway.url}/blank?other")):
        await page.goto(where)
        await talk.text(f"while away {count}")
        await page.evaluate(KEPT, True)
        await page.wait_for_function("(n) => chat.turns.length === n", arg=3 + count)
        assert (await page.evaluate("() => restored"))[:3] == [
            "Hello! I repeat what you say.",
            "before",
            "before",
        ]
    await page.evaluate("() => chat.send('after')")
    await page.wait_for_function("() => chat.turns.length === 7")
    texts = await page.evaluate("() => chat.turns.map(({ text }) => text)")
    assert texts[3:] == ["while away 1", "while away 2", "after", "after"]
    assert (len(gateway.conversations), talk.resumes) == (1, 2)
    assert [one["type"] for one in talk.arrived].count("initialize") == 1
    await page.evaluate("() => chat.hangUp()")
    assert await page.evaluate("() => sessionStorage.length") == 0


async def test_a_kept_chat_that_is_over_begins_anew(page: Page, gateway: StubGateway) -> None:
    await page.evaluate(KEPT, "mine")
    await page.goto(f"{gateway.url}/blank")
    gateway.by_token.clear()
    await page.evaluate(KEPT, "mine")
    assert await page.evaluate("() => [chat.state, restored]") == ["live", None]
    assert len(gateway.conversations) == 2
