"""What client.js does when the network goes: nothing is lost, nothing comes twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.pages.cutter import Cutter

if TYPE_CHECKING:
    from playwright.async_api import Page

    from tests.pages.stub import StubGateway

pytestmark = pytest.mark.asyncio(loop_scope="session")

EXACT = """async ({ port, frames, messages }) => {
    const heard = [];
    let resumes = 0, again = 0;
    const chat = new RelayClient({
        url: `ws://127.0.0.1:${port}/ws?frames=${frames}&pause=0.002`, agent: 'count',
        attempts: 1000, backoff: { first: 0.005, most: 0.02 }, framesPerSecond: 1e6, frameBurst: 1e6,
    });
    chat.on('frame', (f) => f.type === 'text' && heard.push(Number(f.content.text.split(':')[0])));
    chat.on('resumed', (r) => { resumes += 1; again += r.replayed + r.resent; });
    await chat.open();
    const all = new Promise((done) => {
        let said = 0;
        const tick = setInterval(() => {
            for (let i = 0; i < 3 && said < messages; i += 1) chat.send(`${++said}:` + 'y'.repeat(said * 53 % 700));
            const written = said === messages && chat.state === 'live' && chat.waiting === 0;
            if (written && heard.length >= frames) { clearInterval(tick); done(); }
        }, 4);
        chat.closed.then(() => { clearInterval(tick); done(); });
    });
    await all;
    const ended = await chat.hangUp();
    return { heard, resumes, again, ended: `${ended.code} ${ended.message}`, waiting: chat.waiting };
}"""


@pytest.mark.parametrize("seed", [1, 2])
async def test_hundreds_of_cuts_lose_nothing_and_repeat_nothing(
    page: Page, gateway: StubGateway, seed: int
) -> None:
    frames, messages = 1500, 500
    async with Cutter(gateway.port, seed, most=8000).serving() as cutter:
        size = {"port": cutter.port, "frames": frames, "messages": messages}
        got = await page.evaluate(EXACT, size)
    assert got["ended"] == "1000 The conversation has ended."
    assert got["heard"] == list(range(1, frames + 1))
    talk = next(one for one in gateway.conversations if one.arrived and one.sent >= frames)
    said = [
        int(frame["content"].split(":")[0])
        for frame in talk.arrived
        if frame["type"] == "incomingChatMessage"
    ]
    assert said == list(range(1, messages + 1))
    assert cutter.cuts >= 200
    assert got["resumes"] >= 100
    assert got["again"] > 0
