"""Messages of backends, sent twice over two replicas, to a page whose socket is cut at random."""

from __future__ import annotations

import asyncio
import json
import random
import re
import secrets
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import pytest

from tests.support.cutting import cutting_proxy
from tests.support.resuming import ResumingBrowser
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.replicas.pair import ReplicaPair

pytestmark = pytest.mark.asyncio(loop_scope="package")
NUMBER = re.compile(r"#(\d+)#")
TRY_AGAIN = {429, 503, 504}


class ListeningBrowser(ResumingBrowser):
    """It notes the number in whatever a backend says to it; an event that it had it knows again."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self.numbers: list[int] = []
        self.again = 0
        self._event = 0

    async def _frame(self, text: str, *, fresh: bool) -> None:
        frame = json.loads(text)
        if "number" in frame and str(frame.get("name", "")).startswith("relay."):
            if frame["number"] <= self._event:
                self.again += 1
                return
            self._event = frame["number"]
        await super()._frame(text, fresh=fresh)
        found = NUMBER.search(text)
        if found and "id" in frame:
            self.numbers.append(int(found[1]))


async def each_arrives_once(it: ReplicaPair, count: int, seed: int) -> None:
    """Send `count` messages twice each; look at what the page and the vendor have heard."""
    print(f"seed {seed}")
    dice = random.Random(seed)  # noqa: S311 - a test's dice
    markers: list[str] = []  # one for each dial: the first may be cut before it begins
    async with cutting_proxy(it.ports, seed) as proxy:
        base = f"ws://127.0.0.1:{proxy.port}"

        async def dial() -> str:
            markers.append(f"m{seed}.{len(markers)}")
            ticket = (await it.mint(agent="echo", additional_data={"marker": markers[-1]}))[
                "ticket"
            ]
            return f"{base}/ws/echo?ticket={quote(ticket)}"

        page = ListeningBrowser("m", lambda: base, dial, texts=0, dice=dice)
        running = asyncio.create_task(page.run())
        session = await until(lambda: page.story.session)
        begun = time.monotonic()
        expected: dict[str, list[int]] = {"page": [], "vendor": []}
        for number in range(1, count + 1):
            role = dice.choice(("agent", "notice", "event", "user"))
            expected["vendor" if role == "user" else "page"].append(number)
            await twice(it, session, number, role, dice)
        seconds = time.monotonic() - begun
        await until(lambda: len(page.numbers) >= len(expected["page"]))
        proxy.cutting = False
        assert (await it.backend.delete(f"{it.replicas[1].base}/v1/sessions/{session}")).is_success
        await asyncio.wait_for(running, 60)
        print(
            f"{count} messages twice each in {seconds:.1f} s, {proxy.cuts} cuts, "
            f"{page.story.resumes} resumes, {page.again} events that came again"
        )
        assert page.numbers == expected["page"]
        heard = [
            f["frame"] for f in (await it.vendor.conversation(markers[-1], ended=True))["received"]
        ]
        told = [f["content"] for f in heard if f["type"] == "incomingChatMessage"]
        assert told == [f"#{number}#" for number in expected["vendor"]]
        assert page.story.faults == []
        assert proxy.cuts > count / 100


async def twice(it: ReplicaPair, session: str, number: int, role: str, dice: random.Random) -> None:
    """Send one message to both replicas at once, the first to either; both say the same."""
    what = (
        ("events", {"name": "told", "data": {"text": f"#{number}#"}})
        if role == "event"
        else ("messages", {"content": f"#{number}#", "as": role})
    )
    bases = [replica.base for replica in it.replicas]
    dice.shuffle(bases)
    key = {"idempotency-key": f"{session}-{number}"}

    async def send(base: str) -> str:
        async def sent() -> str | None:
            url = f"{base}/v1/sessions/{session}/{what[0]}"
            try:
                answer = await it.backend.post(url, json=what[1], headers=key)
            except httpx.TransportError:
                return None
            assert answer.status_code == 202 or answer.status_code in TRY_AGAIN, answer.text
            found: str | None = answer.json().get("message_id")
            return found

        found: str = await until(sent, within=60, every=0.05)
        return found

    one, other = await asyncio.gather(*(send(base) for base in bases))
    assert one == other


async def test_each_message_arrives_once_and_in_order(steered: ReplicaPair) -> None:
    await each_arrives_once(steered, 150, secrets.randbits(32))


@pytest.mark.nightly
@pytest.mark.timeout(600)
async def test_each_of_a_thousand_messages_arrives_once_and_in_order(steered: ReplicaPair) -> None:
    await each_arrives_once(steered, 1000, secrets.randbits(32))
