"""A page talks to an agent with client.js."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.waiting import until

if TYPE_CHECKING:
    from playwright.async_api import Page

    from tests.pages.stub import StubGateway

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_conversation_is_connected_said_and_heard(page: Page, gateway: StubGateway) -> None:
    got = await page.evaluate("""async () => {
        const chat = await RelayClient.connect({ agent: 'echo', turnGap: 0.1 });
        const turns = [];
        chat.send('one');
        for await (const turn of chat) {
            turns.push([turn.source, turn.text]);
            if (turns.length === 3) chat.hangUp();
        }
        return { turns, state: chat.state, code: chat.reason.code, session: chat.session };
    }""")
    assert got["turns"] == [
        ["assistant", "Hello! I repeat what you say."],
        ["user", "one"],
        ["assistant", "one"],
    ]
    assert (got["state"], got["code"]) == ("ended", 1000)
    assert got["session"]["agent"] == "echo"
    (talk,) = gateway.conversations
    assert [frame["type"] for frame in talk.arrived] == [
        "initialize",
        "incomingChatMessage",
        "terminate",
    ]


async def test_pieces_of_a_turn_are_offered_whole_and_piecewise(
    page: Page, gateway: StubGateway
) -> None:
    got = await page.evaluate("""async () => {
        const chat = new RelayClient({ agent: 'silent', turnGap: 0.3 });
        const got = { pieces: [], turns: [] };
        chat.on('text', ({ text, turn }) => got.pieces.push([text, turn.text]));
        chat.on('turn', (turn) => got.turns.push(turn.text));
        window.chat = chat;
        window.got = got;
        await chat.open();
        return got;
    }""")
    assert got == {"pieces": [], "turns": []}
    (talk,) = gateway.conversations
    for piece in ("Good", "morning", ", everyone", "."):
        await talk.text(piece)
    await page.wait_for_function("() => got.turns.length === 1")
    await talk.text("With ")
    await talk.text("spac")
    await talk.text("es.")
    await talk.text("Another sentence")
    await talk.text("and now the user", "user")
    await page.wait_for_function("() => got.turns.length === 3")
    assert await page.evaluate("() => got") == {
        "pieces": [
            ["Good", "Good"],
            ["morning", "Good morning"],
            [", everyone", "Good morning, everyone"],
            [".", "Good morning, everyone."],
            ["With ", "With "],
            ["spac", "With spac"],
            ["es.", "With spaces."],
            ["Another sentence", "With spaces. Another sentence"],
            ["and now the user", "and now the user"],
        ],
        "turns": [
            "Good morning, everyone.",
            "With spaces. Another sentence",
            "and now the user",
        ],
    }


async def test_plain_vendor_frames_are_reachable(page: Page, gateway: StubGateway) -> None:
    await page.evaluate("""async () => {
        window.frames_ = [];
        window.chat = new RelayClient({ agent: 'silent' });
        chat.on('frame', (frame) => frames_.push(frame));
        await chat.open();
        chat.sendFrame({ type: 'somethingNew', whatever: [1, { deep: true }] });
    }""")
    (talk,) = gateway.conversations
    await talk.say({"type": "unheardOf", "odd": {"nested": [None]}})
    await page.wait_for_function("() => frames_.some((frame) => frame.type === 'unheardOf')")
    assert (await page.evaluate("() => frames_.at(-1)"))["odd"] == {"nested": [None]}
    await until(lambda: len(talk.arrived) >= 2)
    assert talk.arrived[-1]["whatever"] == [1, {"deep": True}]
    assert "timestamp" in talk.arrived[-1]


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (4401, "unauthenticated"),
        (4403, "forbidden"),
        (4404, "no_such_agent"),
        (4400, "bad_frames"),
    ],
)
async def test_a_refusal_is_a_typed_readable_error_and_is_not_repeated(
    page: Page, gateway: StubGateway, code: int, name: str
) -> None:
    got = await page.evaluate(
        """async (code) => {
            try {
                await RelayClient.connect({ agent: `refuse-${code}` });
            } catch (error) {
                return { ours: error instanceof RelayError, ...error, message: error.message };
            }
        }""",
        code,
    )
    assert got["ours"] is True
    assert (got["code"], got["name"], got["retry"]) == (code, name, "no")
    assert got["message"] == "Refused by name."
    assert len(gateway.dials) == 1


async def test_an_end_that_is_not_normal_is_thrown_to_the_loop(
    page: Page, gateway: StubGateway
) -> None:
    await page.evaluate("""async () => {
        const chat = await RelayClient.connect({ agent: 'echo' });
        const read = async () => { for await (const turn of chat); };
        window.loop = read().catch((error) => error.name);
    }""")
    (talk,) = gateway.conversations
    data = {"code": 4440, "message": "An hour is over.", "retry": "no"}
    await talk.say({"type": "error", "data": data})
    await talk.close(4440)
    assert await page.evaluate("() => loop") == "max_duration"


async def test_a_refused_frame_is_an_error_that_ends_nothing(
    page: Page, gateway: StubGateway
) -> None:
    await page.evaluate("""async () => {
        window.errors = [];
        window.chat = await RelayClient.connect({ agent: 'silent' });
        chat.on('error', ({ code, message }) => errors.push([code, message]));
    }""")
    (talk,) = gateway.conversations
    await talk.say({"type": "error", "data": {"code": 4403, "message": "Not that.", "retry": "no"}})
    await talk.say({"type": "error", "data": {"message": "the vendor's own"}})
    await page.wait_for_function("() => errors.length === 2")
    assert await page.evaluate("() => [errors, chat.state]") == [
        [[4403, "Not that."], [0, "the vendor's own"]],
        "live",
    ]


async def test_the_credential_goes_in_the_subprotocol_and_nowhere_else(
    page: Page, gateway: StubGateway
) -> None:
    await page.evaluate("() => RelayClient.connect({ agent: 'echo', credential: 'abc.DEF-1_2' })")
    (dial,) = gateway.dials
    assert dial == {"agent": "echo", "credential": "abc.DEF-1_2"}


async def test_a_credential_that_cannot_be_sent_is_refused_readably(page: Page) -> None:
    got = await page.evaluate("""() => RelayClient.connect({ credential: 'has spaces, and commas' })
        .catch((error) => [error.code, error.message, error.retry])""")
    assert got == [4401, "The address or the credential cannot be used.", "no"]


async def test_a_callback_is_asked_again_for_each_fresh_connection(
    page: Page, gateway: StubGateway
) -> None:
    got = await page.evaluate("""async () => {
        const asked = [];
        const credential = async ({ resume }) => {
            asked.push(resume);
            if (asked.length === 1) throw new Error('the backend hiccups');
            return resume ? undefined : `ticket-${asked.length}`;
        };
        const backoff = { first: 0.05 };
        window.chat = await RelayClient.connect({ agent: 'echo', credential, backoff });
        return asked;
    }""")
    assert got == [False, False]
    (talk,) = gateway.conversations
    assert talk.credential == "ticket-2"
    await talk.close(4508)
    await page.wait_for_function("() => chat.state === 'live' && chat.reason === null")
    await until(lambda: talk.resumes)
    assert gateway.dials[-1]["credential"] is None
    assert gateway.dials[-1]["resume"] == talk.token


async def test_data_goes_in_initialize_and_what_the_query_can_say_in_the_query(
    page: Page, gateway: StubGateway
) -> None:
    await page.evaluate("""async () => {
        await RelayClient.connect({ agent: 'echo', callType: 'onPhone', endpoint: '+15550100' });
        const additionalData = { locale: 'de' };
        await RelayClient.connect({ agent: 'echo', callType: 'chat', additionalData });
    }""")
    assert gateway.dials[0]["call_type"] == "onPhone"
    assert gateway.dials[0]["endpoint"] == "+15550100"
    assert "wish" not in gateway.dials[0]
    assert gateway.dials[1]["call_type"] == "chat"
    assert gateway.dials[1]["wish"] == "1"  # the gateway waits for what the query can't say
    second = gateway.conversations[1]
    await until(lambda: second.arrived)
    assert second.arrived[0]["request"] == {"callType": "chat", "additionalData": {"locale": "de"}}


async def test_too_much_or_too_large_is_refused_before_it_is_sent(
    page: Page, gateway: StubGateway
) -> None:
    got = await page.evaluate("""async () => {
        const bounds = { maxWaiting: 20_000, frameBurst: 5 };
        const chat = await RelayClient.connect({ agent: 'silent', ...bounds });
        const names = [];
        for (const text of ['x'.repeat(70_000), ...Array(12).fill('y'.repeat(3000))]) {
            try { chat.send(text); } catch (error) { names.push(error.name); }
        }
        try { chat.send({ no: 'string' }); } catch (error) { names.push(error.name); }
        return names;
    }""")
    assert got[0] == "frame_too_large"
    assert got[-1] == "TypeError"
    assert set(got[1:-1]) == {"outbox_full"}
    assert len(gateway.conversations) == 1


async def test_a_burst_is_spread_so_that_the_gateways_rate_limit_is_never_met(
    page: Page, gateway: StubGateway
) -> None:
    await page.evaluate("""async () => {
        window.times = [];
        const pace = { frameBurst: 10, framesPerSecond: 20 };
        window.chat = await RelayClient.connect({ agent: 'silent', ...pace });
        chat.on('sent', () => times.push(performance.now()));
        for (let i = 1; i <= 30; i += 1) chat.send(String(i));
    }""")
    (talk,) = gateway.conversations
    await until(lambda: len(talk.arrived) >= 31)
    assert [frame.get("content") for frame in talk.arrived[1:]] == [str(i) for i in range(1, 31)]
    times = await page.evaluate("() => times")
    # 31 frames with `initialize`, 10 of them at once, the rest at 20 a second.
    assert times[-1] - times[0] > 0.9 * 1000 * (31 - 10) / 20 - 50


async def test_leaving_the_page_ends_the_conversation(page: Page, gateway: StubGateway) -> None:
    await page.evaluate(
        "async () => { window.chat = await RelayClient.connect({ agent: 'silent' }); }"
    )
    (talk,) = gateway.conversations
    await page.goto("about:blank")
    await until(lambda: talk.ended)
    assert talk.arrived[-1]["type"] == "terminate"


async def test_data_for_the_agent_that_no_frame_can_hold_ends_the_conversation_at_once(
    page: Page, gateway: StubGateway
) -> None:
    refused = await page.evaluate(
        """async (url) => {
            const additionalData = { text: 'x'.repeat(70_000) };
            const chat = new RelayClient({ url, agent: 'echo', additionalData });
            const error = await chat.open().catch((reason) => reason);
            return [error.code, error.name, chat.state];
        }""",
        gateway.url,
    )
    assert refused == [1009, "frame_too_large", "ended"]
    assert gateway.dials == []
