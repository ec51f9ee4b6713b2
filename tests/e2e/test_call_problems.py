"""A call that does not connect: the client says which way it failed, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.e2e.calls import SETUP

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

    from tests.support.gateway import Emulator, Gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def page(voice_page: Page) -> Page:
    return voice_page


@pytest.mark.parametrize(
    ("agent", "kind", "says"),
    [
        ("no_fingerprint", "bad-offer", "lacks fingerprint"),
        ("no_ice", "bad-offer", "lacks ice-ufrag, ice-pwd"),
        ("no_rtcp_mux", "bad-offer", "lacks rtcp-mux"),
        ("not_sdp", "bad-offer", "lacks fingerprint"),
        ("no_offer", "no-offer", "offered no call"),
        ("chat", "not-a-call", "is a chat"),
        ("deaf", "no-answer", "does not answer"),
    ],
)
async def test_a_call_that_does_not_connect_says_which_way_it_failed(
    page: Page, agent: str, kind: str, says: str
) -> None:
    # An emulator's first call waits for its media library; only what never comes is waited out.
    more = {"inviteTimeout": 1.5 if agent == "no_offer" else 30, "callTimeout": 6}
    if agent == "chat":
        more["callType"] = "chat"  # type: ignore[assignment]
    got = await page.evaluate(
        """([agent, more]) => ring(agent, more).then(() => null, (problem) => ({
            ours: problem instanceof CallProblem, kind: problem.kind, message: problem.message,
            advice: problem.advice, states: calls,
        }))""",
        [agent, more],
    )
    assert got["ours"] is True
    assert got["kind"] == kind
    assert says in got["message"]
    assert len(got["advice"]) > 10
    if kind != "not-a-call":
        assert got["states"][-1] == f"ended: {kind}"
    await page.evaluate("() => chat.hangUp()")


async def test_an_offer_that_was_changed_on_its_way_fails_at_dtls(page: Page) -> None:
    await page.evaluate("""() => {
        const real = RTCPeerConnection.prototype.setRemoteDescription;
        RTCPeerConnection.prototype.setRemoteDescription = function ({ type, sdp }) {
            const spoil = (_, start, hash) => start + hash.replace(/[0-9A-F]{2}/gi, '5A');
            const other = sdp.replace(/^(a=fingerprint:\\S+ )(\\S+)/gm, spoil);
            return real.call(this, { type, sdp: other });
        };
    }""")
    got = await page.evaluate(
        "() => ring('g711', { callTimeout: 10 }).catch(({ kind, message }) => [kind, message])"
    )
    assert got == ["dtls-failed", "The audio could not be encrypted."]


# The cases that this machine's network cannot bring about are brought about in the browser's API.
FAKE_CANDIDATES = """(kept) => {
    const Real = RTCPeerConnection;
    window.RTCPeerConnection = class extends Real {
        constructor(options) { super(options); window.peerOptions = options; }
        set onicecandidate(listener) {
            super.onicecandidate = ({ candidate }) => {
                if (kept === null) return;
                if (candidate?.candidate) listener({ candidate });
            };
        }
    };
}"""


async def test_a_browser_without_candidates_says_so(page: Page) -> None:
    await page.evaluate(FAKE_CANDIDATES, None)
    got = await page.evaluate(
        "() => ring('g711', { gatherTimeout: 0.5 }).catch((problem) => problem.kind)"
    )
    assert got == "no-candidates"


async def test_a_relay_that_cannot_be_reached_is_named(page: Page) -> None:
    servers = [{"urls": "turn:127.0.0.1:9", "username": "u", "credential": "c"}]
    got = await page.evaluate(
        """(iceServers) => ring('deaf', { iceServers, gatherTimeout: 0.5, callTimeout: 2 })
            .catch((problem) => problem.kind)""",
        servers,
    )
    assert got == "relay-blocked"


async def test_an_agent_that_only_a_public_address_would_reach_is_told_from_silence(
    page: Page,
) -> None:
    await page.evaluate("""() => {
        // The offer names a public address (TEST-NET-3), and ours are all host ones.
        const real = RTCPeerConnection.prototype.setRemoteDescription;
        RTCPeerConnection.prototype.setRemoteDescription = function ({ type, sdp }) {
            const other = sdp.replaceAll(/127\\.0\\.0\\.1/g, '203.0.113.7');
            return real.call(this, { type, sdp: other });
        };
    }""")
    got = await page.evaluate(
        "() => ring('deaf', { callTimeout: 2 }).catch((problem) => problem.kind)"
    )
    assert got == "host-only"


async def test_a_microphone_that_is_not_allowed_is_told_before_anybody_is_called(
    voice_browser: Browser, voice_gateway: Gateway, emulator: Emulator
) -> None:
    before = len(await emulator.conversations())
    context = await voice_browser.new_context()
    page = await context.new_page()
    await page.goto(f"{voice_gateway.base}/console")
    await page.evaluate(SETUP)
    await page.evaluate("""() => {
        navigator.mediaDevices.getUserMedia = async () => {
            throw new DOMException('', 'NotAllowedError');
        };
    }""")
    got = await page.evaluate("""() => RelayClient.call({ agent: 'g711' })
        .catch(({ kind, message, advice }) => [kind, message, advice])""")
    assert got == [
        "no-microphone",
        "The microphone is not allowed on this page.",
        "Allow it in the address bar, and call again.",
    ]
    assert len(await emulator.conversations()) == before
    await context.close()
