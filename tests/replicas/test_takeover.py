"""A person takes a chat over from another replica, talks, and hands it back."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
import pytest_asyncio

from tests.replicas.pair import ReplicaPair, replica_pair
from tests.support.browser import Browser, browser
from tests.support.gateway import AGENTS, SERVICE_TOKEN
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.asyncio(loop_scope="module")
ASKS = {
    **AGENTS["echo"],
    "tools": ["request_human", "check_order_status"],
    "initialize": {"additionalData": {"agent": "echo", "toolOn": "a person, please"}},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ReplicaPair]:
    """Two replicas with one history, whose operators may be silent for two seconds."""
    directory = tmp_path_factory.mktemp("takeover")
    async with replica_pair(
        directory,
        agents=AGENTS | {"asks": ASKS},
        takeover_lease=2,
        chat_keep=10,
        content_tokens=SERVICE_TOKEN,
        history_url=f"sqlite+aiosqlite:///{directory}/history.sqlite",
    ) as it:
        yield it


@asynccontextmanager
async def chat(pair: ReplicaPair, marker: str, agent: str = "asks") -> AsyncIterator[Browser]:
    """A chat on the first replica."""
    ticket = (await pair.mint(agent=agent, additional_data={"marker": marker}))["ticket"]
    async with browser(
        f"{pair.replicas[0].ws}/ws/{agent}?ticket={quote(ticket)}", native=True
    ) as user:
        yield user


def api(pair: ReplicaPair, replica: int, session: str, what: str = "") -> str:
    return f"{pair.replicas[replica].base}/v1/sessions/{session}{what}"


async def heard_by(pair: ReplicaPair, marker: str) -> list[str]:
    found = (await pair.vendor.conversation(marker))["received"]
    return [f["frame"]["content"] for f in found if f["frame"]["type"] == "incomingChatMessage"]


async def watched(pair: ReplicaPair, session: str, events: list[dict[str, Any]]) -> None:
    """Watch from the replica that does not have the session."""
    async with pair.backend.stream("GET", api(pair, 1, session, "/watch")) as answer:
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                events.append(json.loads(line.removeprefix("data: ")))  # noqa: PERF401 - as it comes


async def wants_a_person(pair: ReplicaPair, session: str) -> None:
    """Wait until the replica that does not have the session lists it among those that do."""
    wanted = f"{pair.replicas[1].base}/v1/sessions?wants_human=true"

    async def listed() -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = (await pair.backend.get(wanted)).json()["sessions"]
        return rows

    [row] = await until(listed)
    assert (row["id"], row["wants_human"], row["takeover"]) == (session, True, None)
    assert row["wants_human_reason"] == "a person, please"
    assert row["started_at"] < row["wants_human_since"]


async def transcript(
    pair: ReplicaPair, session: str, *, until_held_by: str
) -> list[dict[str, Any]]:
    """What history has once the conversation is over, and what this speaker said is there."""
    url = f"{pair.replicas[1].base}/v1/conversations/{session}"

    async def turns() -> list[dict[str, Any]]:
        if (await pair.backend.get(url)).json().get("ended_at") is None:
            return []
        found: list[dict[str, Any]] = (await pair.backend.get(url + "/transcript")).json()["turns"]
        assert any(turn["held"] and turn["speaker"] == until_held_by for turn in found)
        return found

    kept: list[dict[str, Any]] = await until(turns)
    return kept


async def test_agent_asks_for_a_person_who_takes_over_talks_and_hands_back(
    pair: ReplicaPair,
) -> None:
    it, events = pair.backend, list[dict[str, Any]]()
    async with chat(pair, "whole") as user, asyncio.TaskGroup() as tasks:
        session = await user.connected()
        watching = tasks.create_task(watched(pair, session, events))
        while not events:
            await user.talks("is this watched?")
        await user.talks("a person, please")
        await wants_a_person(pair, session)
        taken = await it.post(api(pair, 1, session, "/takeover"), json={"operator": "Ann"})
        assert taken.status_code == 200, taken.text
        assert taken.json()["operator"] == "Ann"
        assert (await user.frame("event", "relay.takeover"))["data"] == {"operator": "Ann"}

        async def seen() -> bool:
            row = (await it.get(api(pair, 1, session))).json()
            return row["takeover"] is not None and not row["wants_human"]

        await until(seen)
        other = await it.post(api(pair, 0, session, "/takeover"), json={"operator": "Ben"})
        assert (other.status_code, other.json()["operator"]) == (409, "Ann")
        again = await it.put(api(pair, 0, session, "/takeover"), json={"operator": "Ann"})
        assert again.json()["renewed"] is True

        await user.say("are you a person?")
        echo = await user.frame("text")
        assert echo["content"] == {"source": "user", "text": "are you a person?"}
        said = {"content": "I am Ann.", "as": "agent"}
        assert (await it.post(api(pair, 1, session, "/messages"), json=said)).status_code == 202
        spoken = (await user.frame("text"))["content"]
        assert spoken == {"source": "assistant", "speaker": "operator", "text": "I am Ann."}
        as_user = {"content": "x", "as": "user"}
        refused = await it.post(api(pair, 1, session, "/messages"), json=as_user)
        assert refused.status_code == 409
        assert (await heard_by(pair, "whole"))[-1] == "a person, please"

        back = await it.delete(api(pair, 1, session, "/takeover"))
        assert back.status_code == 200, back.text
        await user.frame("event", "relay.handback")
        summary = "Ann has talked with the user:\nUser: are you a person?\nAnn: I am Ann."
        assert (await user.frame("text"))["content"]["text"] == summary, "the echo answers it"
        assert (await heard_by(pair, "whole"))[-2:] == ["a person, please", summary]
        shown = [f["content"] for f in user.frames if f["type"] == "text"]
        assert {"source": "user", "text": summary} not in shown
        await user.talks("back again")
        assert (await it.delete(api(pair, 1, session, "/takeover"))).status_code == 409
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
    turns = await transcript(pair, session, until_held_by="operator")
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
    pair: ReplicaPair,
) -> None:
    it = pair.backend
    data = {"agent": "counter", "count": 400, "rate": 100.0, "marker": "held", "expect": 1}
    ticket = (await pair.mint(agent="counter", additional_data=data))["ticket"]
    url = f"{pair.replicas[0].ws}/ws/counter?ticket={quote(ticket)}"
    async with browser(url, native=True) as user:
        session = await user.connected()
        await user.frame("text")
        await it.post(api(pair, 1, session, "/takeover"), json={"operator": "Ann"})
        await user.frame("event", "relay.takeover")
        for _ in range(20):
            await it.post(
                api(pair, 1, session, "/messages"), json={"content": "wait", "as": "agent"}
            )
        back = {"summary": "Ann said wait.", "operator": "Ben"}
        wrong = await it.request("DELETE", api(pair, 0, session, "/takeover"), json=back)
        assert (wrong.status_code, wrong.json()["operator"]) == (409, "Ann")
        back["operator"] = "Ann"
        assert (
            await it.request("DELETE", api(pair, 0, session, "/takeover"), json=back)
        ).is_success
        await user.frame("event", "relay.handback")
        names = [f.get("name") for f in user.frames]
        between = user.frames[names.index("relay.takeover") : names.index("relay.handback")]
        assert {f["content"]["text"] for f in between if f["type"] == "text"} == {"wait"}
        await user.frame("text")
        assert await user.terminate() == 1000
    assert "Ann said wait." in await heard_by(pair, "held")

    kept = await transcript(pair, session, until_held_by="operator")
    assert {turn["speaker"] for turn in kept if turn["held"]} == {"agent", "operator"}


async def test_operator_who_is_silent_has_handed_back_and_one_who_renews_has_not(
    pair: ReplicaPair,
) -> None:
    it = pair.backend
    async with chat(pair, "silent", "echo") as user:
        session = await user.connected()
        ann = {"operator": "Ann"}
        await it.post(api(pair, 1, session, "/takeover"), json=ann)
        for _ in range(3):
            await asyncio.sleep(1)
            await it.put(api(pair, 1, session, "/takeover"), json=ann)
        assert "relay.handback" not in [f.get("name") for f in user.frames]
        await user.say("hello?")
        await user.frame("event", "relay.handback")
        await until(lambda: heard_by(pair, "silent"))
        assert (await heard_by(pair, "silent"))[0].endswith("User: hello?")
        ben = await it.post(api(pair, 0, session, "/takeover"), json={"operator": "Ben"})
        assert ben.status_code == 200
        assert await user.terminate() == 1000


async def test_one_of_two_operators_wins_at_once_on_two_replicas(pair: ReplicaPair) -> None:
    async with chat(pair, "race", "echo") as user:
        session = await user.connected()
        claims = [
            pair.backend.post(api(pair, n % 2, session, "/takeover"), json={"operator": f"o{n}"})
            for n in range(10)
        ]
        answers = await asyncio.gather(*claims)
        [won] = [a.json()["operator"] for a in answers if a.status_code == 200]
        lost = [a for a in answers if a.status_code == 409]
        assert len(lost) == 9
        assert {a.json()["operator"] for a in lost} == {won}
        assert await user.terminate() == 1000


async def test_page_that_joins_while_a_person_speaks_is_told_and_sees_both_sides(
    pair: ReplicaPair,
) -> None:
    it = pair.backend
    first = (await pair.mint(agent="echo", subject="joan", additional_data={"marker": "j"}))[
        "ticket"
    ]
    url = f"{pair.replicas[0].ws}/ws/echo?ticket={quote(first)}"
    async with browser(url, native=True) as tab:
        session = await tab.connected()
        await it.post(api(pair, 1, session, "/takeover"), json={"operator": "Ann"})
        await tab.frame("event", "relay.takeover")
        second = (await pair.mint(agent="echo", subject="joan"))["ticket"]
        query = f"?session={session}&ticket={quote(second)}"
        async with browser(f"{pair.replicas[1].ws}/ws{query}", native=True) as device:
            opened = await device.frame("event", "relay.session")
            assert opened["data"]["takeover"] == {"operator": "Ann"}
            await device.say("from the device")
            for page in (tab, device):
                assert (await page.frame("text"))["content"]["text"] == "from the device"
            said = {"content": "to both", "as": "agent"}
            await it.post(api(pair, 1, session, "/messages"), json=said)
            for page in (tab, device):
                assert (await page.frame("text"))["content"]["speaker"] == "operator"
            await it.delete(api(pair, 1, session, "/takeover"))
            for page in (tab, device):
                await page.frame("event", "relay.handback")
            assert await device.terminate() == 1000
    assert await pair.violations() == []


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
    pair: ReplicaPair, method: str, body: dict[str, Any], status: int, named: str
) -> None:
    answer = await pair.backend.request(method, api(pair, 0, "never-was", "/takeover"), json=body)
    assert (answer.status_code, named in answer.text) == (status, True), answer.text
    assert answer.headers["content-type"] == "application/problem+json"


async def test_call_cannot_be_taken_over(pair: ReplicaPair) -> None:
    call = {"endpoint": "+15550000001", "agent": "phone"}
    answer = await pair.backend.post(f"{pair.replicas[0].base}/v1/calls", json=call)
    session = answer.json()["session_id"]

    async def refused() -> bool:
        taken = await pair.backend.post(
            api(pair, 1, session, "/takeover"), json={"operator": "Ann"}
        )
        return taken.status_code == 409 and taken.json()["title"] == "no_chat"

    assert await until(refused)
