"""A person takes a chat over from another replica, talks, and hands it back."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from playwright.async_api import expect

from tests.pages.browser import launched
from tests.pages.cutter import Cutter
from tests.support.browser import Browser, browser
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Page

    from tests.replicas.pair import ReplicaPair

pytestmark = pytest.mark.asyncio(loop_scope="package")


@asynccontextmanager
async def chat(steered: ReplicaPair, marker: str, agent: str = "asks") -> AsyncIterator[Browser]:
    """A chat on the first replica."""
    ticket = (await steered.mint(agent=agent, additional_data={"marker": marker}))["ticket"]
    async with browser(
        f"{steered.replicas[0].ws}/ws/{agent}?ticket={quote(ticket)}", native=True
    ) as user:
        yield user


def api(steered: ReplicaPair, replica: int, session: str, what: str = "") -> str:
    return f"{steered.replicas[replica].base}/v1/sessions/{session}{what}"


async def heard_by(steered: ReplicaPair, marker: str) -> list[str]:
    found = (await steered.vendor.conversation(marker))["received"]
    return [f["frame"]["content"] for f in found if f["frame"]["type"] == "incomingChatMessage"]


async def watched(steered: ReplicaPair, session: str, events: list[dict[str, Any]]) -> None:
    """Watch from the replica that does not have the session."""
    async with steered.backend.stream("GET", api(steered, 1, session, "/watch")) as answer:
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                events.append(json.loads(line.removeprefix("data: ")))  # noqa: PERF401 - as it comes


class Renewal:
    """Renews an operator's lease, as the console does while it is open, however slow the rest is.

    After `stop` none is on its way: it would take over again after a handback.
    """

    def __init__(self, steered: ReplicaPair, session: str, operator: str) -> None:
        self._url = api(steered, 0, session, "/takeover")
        self._backend = steered.backend
        self._operator = operator
        self._over = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        self._over.set()
        await self._task

    async def _run(self) -> None:
        while not self._over.is_set():
            await self._backend.put(self._url, json={"operator": self._operator})
            with suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await self._over.wait()


async def wants_a_person(steered: ReplicaPair, session: str) -> None:
    """Wait until the replica that does not have the session lists it among those that do."""
    wanted = f"{steered.replicas[1].base}/v1/sessions?wants_human=true"

    async def listed() -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = (await steered.backend.get(wanted)).json()["sessions"]
        return rows

    [row] = await until(listed)
    assert (row["id"], row["wants_human"], row["takeover"]) == (session, True, None)
    assert row["wants_human_reason"] == "a person, please"
    assert row["started_at"] < row["wants_human_since"]


async def transcript(
    steered: ReplicaPair, session: str, *, until_held_by: str
) -> list[dict[str, Any]]:
    """What history has once the conversation is over, and what this speaker said is there."""
    url = f"{steered.replicas[1].base}/v1/conversations/{session}"

    async def turns() -> list[dict[str, Any]]:
        if (await steered.backend.get(url)).json().get("ended_at") is None:
            return []
        found: list[dict[str, Any]] = (await steered.backend.get(url + "/transcript")).json()[
            "turns"
        ]
        assert any(turn["held"] and turn["speaker"] == until_held_by for turn in found)
        return found

    kept: list[dict[str, Any]] = await until(turns)
    return kept


async def assert_refused_as_ben(steered: ReplicaPair, session: str) -> None:
    """Another person than Ann, who has taken over, neither does so nor is heard."""
    claim = await steered.backend.post(
        api(steered, 0, session, "/takeover"), json={"operator": "Ben"}
    )
    assert (claim.status_code, claim.json()["operator"]) == (409, "Ann")
    for role in ("agent", "notice"):
        other = {"content": "I am Ben.", "as": role, "operator": "Ben"}
        wrong = await steered.backend.post(api(steered, 0, session, "/messages"), json=other)
        assert (wrong.status_code, wrong.json()["title"]) == (409, "taken")
        assert wrong.json()["operator"] == "Ann"


async def test_agent_asks_for_a_person_who_takes_over_talks_and_hands_back(
    steered: ReplicaPair,
) -> None:
    it, events = steered.backend, list[dict[str, Any]]()
    async with chat(steered, "whole") as user, asyncio.TaskGroup() as tasks:
        session = await user.connected()
        watching = tasks.create_task(watched(steered, session, events))
        while not events:
            await user.talks("is this watched?")
        await user.talks("a person, please")
        await wants_a_person(steered, session)
        taken = await it.post(api(steered, 1, session, "/takeover"), json={"operator": "Ann"})
        assert (taken.status_code, taken.json()["operator"]) == (200, "Ann"), taken.text
        renewal = Renewal(steered, session, "Ann")
        assert (await user.frame("event", "relay.takeover"))["data"] == {"operator": "Ann"}

        async def seen() -> bool:
            row = (await it.get(api(steered, 1, session))).json()
            return row["takeover"] is not None and not row["wants_human"]

        await until(seen)
        again = await it.put(api(steered, 0, session, "/takeover"), json={"operator": "Ann"})
        assert again.json()["renewed"] is True

        await user.say("are you a person?")
        echo = await user.frame("text")
        assert echo["content"] == {"source": "user", "text": "are you a person?"}
        said = {"content": "I am Ann.", "as": "agent", "operator": "Ann"}
        assert (await it.post(api(steered, 1, session, "/messages"), json=said)).status_code == 202
        spoken = (await user.frame("text"))["content"]
        assert spoken == {"source": "assistant", "speaker": "operator", "text": "I am Ann."}
        await assert_refused_as_ben(steered, session)
        as_user = {"content": "x", "as": "user"}
        refused = await it.post(api(steered, 1, session, "/messages"), json=as_user)
        assert refused.status_code == 409
        assert (await heard_by(steered, "whole"))[-1] == "a person, please"

        await renewal.stop()
        back = await it.delete(api(steered, 1, session, "/takeover"))
        assert back.status_code == 200, back.text
        await user.frame("event", "relay.handback")
        summary = "Ann has talked with the user:\nUser: are you a person?\nAnn: I am Ann."
        assert (await user.frame("text"))["content"]["text"] == summary, "the echo answers it"
        assert (await heard_by(steered, "whole"))[-2:] == ["a person, please", summary]
        shown = [f["content"] for f in user.frames if f["type"] == "text"]
        assert {"source": "user", "text": summary} not in shown
        await user.talks("back again")
        assert (await it.delete(api(steered, 1, session, "/takeover"))).status_code == 409
        assert await user.terminate() == 1000
        await watching
    kinds = [e["kind"] for e in events if e["kind"] not in {"frame", "browser"}]
    assert kinds == ["tool", "wants_human", "takeover", "takeover", "end"], events
    in_order = [
        (e["content"].get("name") or e["content"]["content"].get("text"), e.get("held", False))
        for e in events
        if e["kind"] == "frame" and e["type"] in {"text", "event"}
    ]
    told = [
        ("relay.takeover", False),
        ("are you a person?", False),
        ("I am Ann.", False),
        ("relay.handback", False),
        (summary, True),
    ]
    assert [one for one in in_order if one in told] == told
    turns = await transcript(steered, session, until_held_by="operator")
    kept = [(turn["speaker"], turn["held"], turn["text"]) for turn in turns]
    assert kept[kept.index(("user", False, "are you a person?")) :] == [
        ("user", False, "are you a person?"),
        ("operator", False, "I am Ann."),
        ("operator", True, summary),
        ("agent", False, summary),
        ("user", False, "back again"),
        ("agent", False, "back again"),
    ]


async def test_what_the_agent_says_meanwhile_is_kept_and_shown_to_no_page(
    steered: ReplicaPair,
) -> None:
    it = steered.backend
    data = {"agent": "counter", "count": 400, "rate": 100.0, "marker": "held", "expect": 1}
    ticket = (await steered.mint(agent="counter", additional_data=data))["ticket"]
    url = f"{steered.replicas[0].ws}/ws/counter?ticket={quote(ticket)}"
    async with browser(url, native=True) as user:
        session = await user.connected()
        await user.frame("text")
        await it.post(api(steered, 1, session, "/takeover"), json={"operator": "Ann"})
        renewal = Renewal(steered, session, "Ann")
        await user.frame("event", "relay.takeover")
        for _ in range(20):
            await it.post(
                api(steered, 1, session, "/messages"), json={"content": "wait", "as": "agent"}
            )
        back = {"summary": "Ann said wait.", "operator": "Ben"}
        wrong = await it.request("DELETE", api(steered, 0, session, "/takeover"), json=back)
        assert (wrong.status_code, wrong.json()["operator"]) == (409, "Ann")
        back["operator"] = "Ann"
        await renewal.stop()
        assert (
            await it.request("DELETE", api(steered, 0, session, "/takeover"), json=back)
        ).is_success
        await user.frame("event", "relay.handback")
        names = [f.get("name") for f in user.frames]
        between = user.frames[names.index("relay.takeover") : names.index("relay.handback")]
        assert {f["content"]["text"] for f in between if f["type"] == "text"} == {"wait"}
        await user.frame("text")
        assert await user.terminate() == 1000
    assert "Ann said wait." in await heard_by(steered, "held")

    kept = await transcript(steered, session, until_held_by="operator")
    assert {turn["speaker"] for turn in kept if turn["held"]} == {"agent", "operator"}


async def test_operator_who_is_silent_has_handed_back_and_one_who_renews_has_not(
    steered: ReplicaPair,
) -> None:
    it = steered.backend
    async with chat(steered, "silent", "echo") as user:
        session = await user.connected()
        ann = {"operator": "Ann"}
        await it.post(api(steered, 1, session, "/takeover"), json=ann)
        for _ in range(10):  # for longer than the lease, often enough for a busy machine
            await asyncio.sleep(0.3)
            await it.put(api(steered, 1, session, "/takeover"), json=ann)
        assert "relay.handback" not in [f.get("name") for f in user.frames]
        await user.say("hello?")
        await user.frame("event", "relay.handback")
        await until(lambda: heard_by(steered, "silent"))
        assert (await heard_by(steered, "silent"))[0].endswith("User: hello?")
        ben = await it.post(api(steered, 0, session, "/takeover"), json={"operator": "Ben"})
        assert ben.status_code == 200
        assert await user.terminate() == 1000


async def test_one_of_two_operators_wins_at_once_on_two_replicas(steered: ReplicaPair) -> None:
    async with chat(steered, "race", "echo") as user:
        session = await user.connected()
        claims = [
            steered.backend.post(
                api(steered, n % 2, session, "/takeover"), json={"operator": f"o{n}"}
            )
            for n in range(10)
        ]
        answers = await asyncio.gather(*claims)
        [won] = [a.json()["operator"] for a in answers if a.status_code == 200]
        lost = [a for a in answers if a.status_code == 409]
        assert len(lost) == 9
        assert {a.json()["operator"] for a in lost} == {won}
        assert await user.terminate() == 1000


WIDGET = """async ({ url, credential }) => {
    await import('/widget.js');
    const chat = document.createElement('blackbox-relay-chat');
    const options = { backoff: { first: 0.1 } };
    Object.assign(chat, { url, credential, callTypes: 'chat', options });
    chat.style = 'width: 400px; height: 500px';
    document.body.replaceChildren(chat);
    chat.id = 'chat';
    window.turns = [];
    chat.addEventListener('relay-client', ({ detail: client }) => {
        client.on('turn', ({ speaker, text }) => window.turns.push([speaker, text]));
        client.on('resumed', () => (window.resumes = (window.resumes ?? 0) + 1));
    });
    await chat.start('chat');
}"""


@asynccontextmanager
async def restarted(steered: ReplicaPair, number: int) -> AsyncIterator[None]:
    """Start a replica again at the end, which other tests need."""
    try:
        yield
    finally:
        if getattr(steered.replicas[number].process, "returncode", None) is not None:
            await steered.start(number)


async def test_customer_talks_to_a_person_over_a_cut_and_a_killed_replica(
    steered: ReplicaPair,
) -> None:
    """The replica that dies carries the page's socket, and does not own the conversation."""
    it = steered.backend
    ticket = (await steered.mint(agent="asks", additional_data={"marker": "page"}))["ticket"]
    cutter = Cutter(steered.ports[0], seed=1)
    cutter.cutting = False
    async with launched() as chromium, cutter.serving(), restarted(steered, 1):
        page = await chromium.new_page()
        await page.goto(f"{steered.replicas[0].base}/console")
        url = f"ws://127.0.0.1:{cutter.port}/ws/asks"
        await page.evaluate(WIDGET, {"url": url, "credential": ticket})
        session = await page.evaluate("() => chat.client.session.sessionId")
        await type_in(page, "a person, please")
        await expect(page.locator(".assistant .bubble").last).to_contain_text("a person, please")
        await wants_a_person(steered, session)

        cutter.target = steered.ports[1]
        cutter.cut_all()
        taken = await it.post(api(steered, 1, session, "/takeover"), json={"operator": "Ann"})
        assert taken.status_code == 200, taken.text
        renewal = Renewal(steered, session, "Ann")
        await expect(page.locator(".note", has_text="Ann has joined")).to_have_count(1)
        await page.wait_for_function("() => window.resumes === 1")
        hello = {"content": "Hello, I am Ann.", "as": "agent"}
        await it.post(api(steered, 1, session, "/messages"), json=hello)
        bubble = page.locator('.turn[data-speaker="operator"] .bubble')
        await expect(bubble).to_have_text("Hello, I am Ann.")
        await type_in(page, "Where is my parcel?")
        # Else it may come after Ann's next words, whose order is what is compared.
        await expect(page.locator(".user .bubble").last).to_have_text("Where is my parcel?")

        await steered.replicas[1].kill()
        cutter.target = steered.ports[0]
        cutter.cut_all()
        parcel = {"content": "On its way.", "as": "agent"}
        await it.post(api(steered, 0, session, "/messages"), json=parcel)
        await expect(bubble.last).to_have_text("On its way.")
        told = {"content": "A voucher was sent.", "as": "notice"}
        await it.post(api(steered, 0, session, "/messages"), json=told)
        await expect(page.locator(".note", has_text="A voucher was sent.")).to_have_count(1)
        await renewal.stop()
        await it.delete(api(steered, 0, session, "/takeover"))
        await expect(page.locator(".note", has_text="Ann has left")).to_have_count(1)
        await expect(page.locator(".note", has_text="Ann has joined")).to_have_count(1)
        summary = (await heard_by(steered, "page"))[-1]
        assert summary.splitlines()[1:] == [
            "Ann: Hello, I am Ann.",
            "User: Where is my parcel?",
            "Ann: On its way.",
        ]
        assert await page.evaluate("() => chat.client.takeover") is None
        turns = await page.evaluate("() => chat.client.hangUp().then(() => window.turns)")
    kept = await transcript(steered, session, until_held_by="operator")
    shown = [[turn["speaker"], turn["text"]] for turn in kept if not turn["held"]]
    begun = turns.index(["operator", "Hello, I am Ann."])
    assert turns[begun:][:3] == [
        ["operator", "Hello, I am Ann."],
        ["user", "Where is my parcel?"],
        ["operator", "On its way."],
    ]
    assert turns[begun:] == shown[-len(turns[begun:]) :]


async def type_in(page: Page, text: str) -> None:
    await page.get_by_label("Your message").fill(text)
    await page.keyboard.press("Enter")


async def test_page_that_joins_while_a_person_speaks_is_told_and_sees_both_sides(
    steered: ReplicaPair,
) -> None:
    it = steered.backend
    first = (await steered.mint(agent="echo", subject="joan", additional_data={"marker": "j"}))[
        "ticket"
    ]
    url = f"{steered.replicas[0].ws}/ws/echo?ticket={quote(first)}"
    async with browser(url, native=True) as tab:
        session = await tab.connected()
        await it.post(api(steered, 1, session, "/takeover"), json={"operator": "Ann"})
        renewal = Renewal(steered, session, "Ann")
        await tab.frame("event", "relay.takeover")
        second = (await steered.mint(agent="echo", subject="joan"))["ticket"]
        query = f"?session={session}&ticket={quote(second)}"
        async with browser(f"{steered.replicas[1].ws}/ws{query}", native=True) as device:
            opened = await device.frame("event", "relay.session")
            assert opened["data"]["takeover"] == {"operator": "Ann"}
            await device.say("from the device")
            for page in (tab, device):
                assert (await page.frame("text"))["content"]["text"] == "from the device"
            said = {"content": "to both", "as": "agent"}
            await it.post(api(steered, 1, session, "/messages"), json=said)
            for page in (tab, device):
                assert (await page.frame("text"))["content"]["speaker"] == "operator"
            await renewal.stop()
            await it.delete(api(steered, 1, session, "/takeover"))
            for page in (tab, device):
                await page.frame("event", "relay.handback")
            assert await device.terminate() == 1000
    assert await steered.violations() == []


@pytest.mark.parametrize(
    ("method", "body", "status", "named"),
    [
        ("POST", {}, 422, "operator"),
        ("POST", {"operator": " "}, 422, "operator"),
        ("POST", {"operator": "a\nb"}, 422, "operator"),
        ("POST", {"operator": "x" * 257}, 413, "256"),
        ("DELETE", {"summary": "x" * 16_385}, 413, "16384"),
        ("DELETE", {"summary": 1}, 422, "summary"),
        ("POST", {"operator": "Ann"}, 404, "session"),
        ("DELETE", {}, 404, "session"),
    ],
)
async def test_refused_takeover_says_why(
    steered: ReplicaPair, method: str, body: dict[str, Any], status: int, named: str
) -> None:
    answer = await steered.backend.request(
        method, api(steered, 0, "never-was", "/takeover"), json=body
    )
    assert (answer.status_code, named in answer.text) == (status, True), answer.text
    assert answer.headers["content-type"] == "application/problem+json"


async def test_call_cannot_be_taken_over(steered: ReplicaPair) -> None:
    call = {"endpoint": "+15550000001", "agent": "phone"}
    answer = await steered.backend.post(f"{steered.replicas[0].base}/v1/calls", json=call)
    session = answer.json()["session_id"]

    async def refused() -> bool:
        taken = await steered.backend.post(
            api(steered, 1, session, "/takeover"), json={"operator": "Ann"}
        )
        return taken.status_code == 409 and taken.json()["title"] == "no_chat"

    assert await until(refused)
