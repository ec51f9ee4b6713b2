"""Personal data in every kind of frame: relayed as it is, and in nothing that is kept or shown."""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from app.protocol.redaction_rules import is_luhn
from tests.history.receiver import SECRET, Receiver, receiving
from tests.support import gateway as processes
from tests.support.browser import browser
from tests.support.collector import collector
from tests.support.gateway import SERVICE_TOKEN
from tests.support.scripted_vendor import scripted_vendor
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.collector import Collector
    from tests.support.gateway import Gateway
    from tests.support.scripted_vendor import ScriptedVendor

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHANCE = random.Random(14)  # noqa: S311 - no secret


def digits(count: int) -> str:
    return "".join(CHANCE.choices("0123456789", k=count))


def card(_: int) -> str:
    body = CHANCE.choice("3456") + digits(14)
    number = next(body + last for last in "0123456789" if is_luhn(body + last))
    return CHANCE.choice([number, " ".join(number[at : at + 4] for at in range(0, 16, 4))])


def iban(_: int) -> str:
    account = digits(18)
    check = 98 - int(f"{account}131400") % 97  # D is 13, E is 14
    number = f"DE{check:02}{account}"
    return CHANCE.choice([number, " ".join(number[at : at + 4] for at in range(0, 22, 4))])


PLANTED: list[str] = [
    *map(card, range(50)),
    *map(iban, range(40)),
    *(f"ann.{digits(6)}@mail{at}.example.com" for at in range(40)),
    *(f"+1 415 555 {digits(4)}" for _ in range(30)),
    *(f"sk-live-{digits(4)}abcdefgh{digits(8)}" for _ in range(20)),
    *(f"Canary<{digits(6)},{digits(2)}>" for _ in range(20)),
]
STEERED: dict[str, Any] = {
    "hide": [],
    "tools": ["tell", "complain", "request_human"],
    "approve": {"complain": "operator"},
}
GUARDRAIL = {
    "name": "no-bombs",
    "on": ["user", "agent", "tool_args", "tool_result"],
    "python": "tests.support.hooks:sync",
    "agents": ["steered"],
}
TOLD = {"takeover.started", "takeover.ended", "tool.failed", "guardrail.blocked", "session.ended"}
"""Lifecycle events of the conversation that is steered."""

GROUPS = [PLANTED[at : at + 10] for at in range(0, 200, 10)]
RULES = r"card,iban,email,phone,secret,/Canary<\d{1,6},\d+>/"


class Run:
    """One conversation full of canaries, and everything that came out of it."""

    def __init__(self, vendor: ScriptedVendor, gateway: Gateway, directory: Path) -> None:
        self.vendor = vendor
        self.gateway = gateway
        self.directory = directory
        self.session = ""
        self.page: list[str] = []
        self.wrote: list[str] = []
        self.watched: list[str] = []
        self.sinks: dict[str, bytes] = {}

    async def get(self, path: str) -> Any:
        """Read a route as a backend does, and keep its body as a sink."""
        async with self.gateway.api() as client:
            answer = await client.get(path)
        self.sinks[path.replace(self.session, "*")] = answer.content
        return answer.json() if answer.is_success else None


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def run(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Run]:
    """A gateway with every sink there is, after a conversation with every kind of frame."""
    directory = tmp_path_factory.mktemp("redaction")
    async with (
        scripted_vendor() as vendor,
        receiving(Receiver()) as receiver,
        receiving(Receiver()) as events,
        collector() as spans,
    ):
        async with gateway(vendor, (receiver, events), spans, directory) as relay:
            it = Run(vendor, relay, directory)
            await be_refused(it)
            await steer(it)
            await converse(it)
            await until(lambda: len(receiver.taken) == 5)
            await until(lambda: {event["type"] for event in events.order} >= TOLD)
            await collect(it)
        it.sinks["log"] = relay.log.encode()
        it.sinks["webhook"] = b"".join(b for bodies in receiver.bodies.values() for b in bodies)
        it.sinks["events"] = b"".join(b for bodies in events.bodies.values() for b in bodies)
        it.sinks["spans"] = b"".join(span.SerializeToString() for span in spans.spans)
        for file in directory.iterdir():  # the write-ahead log is merged or kept at the end
            it.sinks[f"closed {file.name}"] = file.read_bytes()
        yield it


@asynccontextmanager
async def gateway(
    vendor: ScriptedVendor,
    receivers: tuple[Receiver, Receiver],
    spans: Collector,
    directory: Path,
) -> AsyncIterator[Gateway]:
    relay = processes.Gateway(
        vendor.url,
        auth="ticket",
        redact=RULES,
        agents={"default": {"hide": [], "browser_tools": ["show"]}, "steered": STEERED},
        event_webhooks=[{"url": receivers[1].url, "secret": SECRET, "events": "*"}],
        guardrails=[GUARDRAIL],
        tools="tests.e2e.planted_tools",
        history_url=f"sqlite+aiosqlite:///{directory}/history.db",
        result_webhook_url=receivers[0].url,
        result_webhook_secret=SECRET,
        webhook_allowed_hosts="127.0.0.1/32",
        content_tokens=SERVICE_TOKEN,
        frames_per_second=1000,
        frame_burst=1000,
    )
    relay.environment |= {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{spans.port}",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    await relay.start()
    try:
        yield await relay.ready()
    finally:
        await relay.stop()


async def converse(it: Run) -> None:
    """Hold the conversation, with a watcher beside it."""
    told = {f"key {at}": group for at, group in enumerate(GROUPS)} | {PLANTED[70]: PLANTED[0]}
    ticket = await it.gateway.ticket(additional_data=told)
    url = f"{it.gateway.ws}/ws?ticket={ticket}&call_type=chat"
    async with browser(url, native=True, max_size=1 << 24) as page:
        it.session = await page.connected()
        ready = asyncio.Event()
        watching = asyncio.create_task(watch(it, ready))
        await ready.wait()
        for at, group in enumerate(GROUPS):
            await say_all(it, at, group)
            frame = json.dumps({"type": "incomingChatMessage", "content": " / ".join(group)})
            it.wrote.append(frame)
            await page.send(frame)
        await until(lambda: len(it.vendor.answers()) == 3 * len(GROUPS))
        await until(lambda: len(it.vendor.messages()) == len(GROUPS))
        await it.vendor.say({"type": "conversationResult", "result": result_of(PLANTED)})
        await it.vendor.close()
        assert await page.closed() == 1000
        it.page = page.raw
        await watching


async def steer(it: Run) -> None:
    """A conversation in which backends, persons, approvers and guardrails have their say."""
    ticket = await it.gateway.ticket(agent="steered")
    url = f"{it.gateway.ws}/ws/steered?ticket={ticket}&call_type=chat"
    async with browser(url, native=True, max_size=1 << 24) as page:
        session = it.session = await page.connected()
        ready = asyncio.Event()
        watching = asyncio.create_task(watch(it, ready))
        await ready.wait()
        for at in range(5):
            await steer_by(it, at, PLANTED[at::5])
        await it.vendor.say({"type": "conversationResult", "result": result_of(PLANTED)})
        await it.vendor.close()
        assert await page.closed() == 1000
        await watching
    shown = "".join(page.raw)
    assert all(json.dumps(planted)[1:-1] in shown for planted in PLANTED), "pages see them all"
    await until(lambda: ended(it))
    for path in ("transcript", "events"):
        await it.get(f"/v1/conversations/{session}/{path}")
        it.sinks[f"steered {path}"] = it.sinks.pop(f"/v1/conversations/*/{path}")


async def steer_by(it: Run, at: int, group: list[str]) -> None:
    """Say a group by every route, and in every frame that these conversations have besides."""
    vendor, whole, session = it.vendor, ", ".join(group), f"/v1/sessions/{it.session}"

    async def answered(call_id: str) -> bool:
        return call_id in vendor.answers()

    await vendor.text(f"A bomb is {whole}")  # the guardrail blocks it
    await vendor.text(f"No harm is {whole}")
    await vendor.ask(f"wanted {at}", "request_human", {"reason": whole})
    await until(lambda: answered(f"wanted {at}"))
    for path in (session, "/v1/sessions?wants_human=true"):
        await it.get(path)
        it.sinks[f"{path.replace(it.session, '*')} {at}"] = it.sinks.pop(
            path.replace(it.session, "*")
        )
    call = f"approved-{at}"
    await vendor.ask(call, "complain", {"text": whole})
    async with it.gateway.api() as client:

        async def asked() -> bool:
            found = (await client.get("/v1/approvals")).json()["approvals"]
            return call in {one["id"] for one in found}

        await until(asked)
        for method, path, body in (
            ("POST", f"/v1/approvals/{it.session}/{call}", {"approve": at % 2 == 0}),
            ("POST", f"{session}/messages", {"content": whole, "as": "user"}),
            ("POST", f"{session}/messages", {"content": whole, "as": "agent"}),
            ("POST", f"{session}/messages", {"content": whole, "as": "notice"}),
            ("POST", f"{session}/events", {"name": "told", "data": {whole: group}}),
            ("POST", f"{session}/takeover", {"operator": "Ann"}),
            ("POST", f"{session}/messages", {"content": whole, "as": "agent"}),
            ("DELETE", f"{session}/takeover", {"summary": whole}),
        ):
            answer = await client.request(method, path, json=body)
            assert answer.is_success, answer.text
            if at % 2 == 0 and path.endswith("takeover"):
                await vendor.text(f"Held back is {whole}")
    await until(lambda: answered(call))


async def be_refused(it: Run) -> None:
    """Let the vendor refuse conversations in words that go into the log."""
    connected = it.vendor.greeting
    for group in (GROUPS[0], GROUPS[5] + GROUPS[9], GROUPS[13] + GROUPS[18]):
        it.vendor.greeting = {"type": "error", "data": {"message": "; ".join(group)}}
        ticket = await it.gateway.ticket()
        async with browser(f"{it.gateway.ws}/ws?ticket={ticket}&call_type=chat") as page:
            assert await page.closed() == 4502
    it.vendor.greeting = connected


async def say_all(it: Run, at: int, group: list[str]) -> None:
    """Let the vendor say a group in every kind of frame."""
    vendor, whole = it.vendor, ", ".join(group)
    for source in ("user", "assistant"):
        await vendor.text(f"It is {whole[: 7 * at + 3]}", source, type="potential")
        await vendor.text(f"It is {whole}. ", source)
    for planted in group:
        edge = CHANCE.randrange(1, len(planted))
        await vendor.text(f" and {planted[:edge]}")
        await vendor.text(f"{planted[edge:]}, ")
    await vendor.say({"type": "text", "content": whole})
    await vendor.say({"type": "event", "name": f"x {group[0]}", "data": {"a": group, whole: 1}})
    await vendor.say({"type": f"new {group[1]}", "extra": group, group[2]: {"b": whole}})
    await vendor.say({"type": "error", "data": {"message": f"Too large message: {whole}"}})
    await vendor.say({"type": "toolCall", "content": {"args": group}})
    await vendor.say({"type": "toolCallResult", "content": {"result": group}})
    await vendor.ask(f"tell {group[3]}", "tell", {"text": whole})
    await vendor.ask(f"complain {at}", "complain", {"text": whole, "n": at})
    await vendor.ask(f"unknown {at}", f"no {group[4]}", {whole: group})


def result_of(planted: list[str]) -> dict[str, Any]:
    whole = ", ".join(planted)
    summary = {"text": whole, "list": planted, planted[0]: "key"}
    return {"status": "failed", "errorMessage": whole, "finishReason": whole, "summary": summary}


async def watch(it: Run, ready: asyncio.Event) -> None:
    """Keep all server-sent events of the session."""
    async with (
        it.gateway.api() as client,
        client.stream("GET", f"/v1/sessions/{it.session}/watch") as answer,
    ):
        async for line in answer.aiter_lines():
            ready.set()
            it.watched.append(line)


async def collect(it: Run) -> None:
    """Read every route that shows anything, and the files as they are while it runs."""
    at = f"/v1/conversations/{it.session}"
    await until(lambda: ended(it))
    for path in (at, f"{at}/transcript", f"{at}/events"):
        await it.get(path)
    for path in ("/v1/drift", "/v1/audit", "/v1/deliveries"):
        await it.get(path)
    page = await it.get(f"{at}/events")
    number = 0
    while page is not None and page.get("next"):
        number += 1
        page = await it.get(f"{at}/events?cursor={page['next']}")
    for path in ("/v1/sessions", "/metrics"):
        async with it.gateway.api() as client:
            it.sinks[path] = (await client.get(path)).content
    for file in it.directory.iterdir():
        it.sinks[f"open {file.name}"] = file.read_bytes()
    it.sinks["watch"] = "\n".join(it.watched).encode()


async def ended(it: Run) -> bool:
    found = await it.get(f"/v1/conversations/{it.session}")
    return found is not None and found["ended_at"] is not None


def forms(planted: str) -> set[bytes]:
    """A canary as it may stand in a text, in JSON, or as a number."""
    number = planted.replace(" ", "")
    return {planted.encode(), json.dumps(planted)[1:-1].encode(), number.encode()}


async def test_the_canaries_were_there(run: Run) -> None:
    """What is relayed is relayed byte for byte, and holds them all."""
    shown = [frame for frame in run.vendor.sent if "websocketToolRequest" not in frame]
    assert [frame for frame in run.page if '"relay.' not in frame] == shown
    assert len(shown) > 500
    for frame, (sent, group) in zip(
        [f for f in run.vendor.received if "incomingChatMessage" in f],
        zip(run.wrote, GROUPS, strict=True),
        strict=True,
    ):
        assert frame.startswith(sent[:-1])  # the timestamp is added behind
        assert json.loads(frame)["content"] == " / ".join(group)
    answers = run.vendor.answers()
    for group in GROUPS:
        assert answers[f"tell {group[3]}"]["said"] == ", ".join(group)
    initialize = json.loads(run.vendor.received[0])
    told = initialize["devRequest"]["additionalData"]
    assert [told[f"key {at}"] for at in range(len(GROUPS))] == GROUPS


async def test_no_sink_holds_a_canary(run: Run) -> None:
    expected = {"log", "webhook", "events", "spans", "watch", "/v1/audit", "/v1/deliveries"}
    expected |= {"steered transcript", "steered events", "/v1/sessions/* 0"}
    assert expected | {"open history.db", "closed history.db"} <= set(run.sinks)
    assert all(run.sinks.values())
    found = {
        name: [planted for planted in PLANTED if any(form in body for form in forms(planted))]
        for name, body in run.sinks.items()
    }
    assert {name: hits for name, hits in found.items() if hits} == {}


async def test_the_sinks_say_what_was_masked(run: Run) -> None:
    for name in ("webhook", "watch", "open history.db-wal"):
        for mask in (b"[card]", b"[iban]", b"[email]", b"[phone]", b"[secret]", b"[redacted]"):
            assert mask in run.sinks[name], (name, mask)
    assert b"[card]" in run.sinks["log"]


async def test_a_number_over_two_pieces_is_masked_in_the_turn_and_the_watch(run: Run) -> None:
    at = "/v1/conversations/*/transcript"
    turns = json.loads(run.sinks[at])
    texts = [turn["text"] for turn in turns["turns"]]
    said = "".join(text for text in texts if text)
    assert said.count("[card]") >= 50
    events = [json.loads(line[6:]) for line in run.watched if line.startswith("data: {")]
    frames = [event["content"] for event in events if event["kind"] == "frame"]
    pieces = [f["content"] for f in frames if f["type"] == "text"]
    joined = "".join(p if isinstance(p, str) else p["text"] for p in pieces)
    assert [p for p in PLANTED if p in joined or p.replace(" ", "") in joined] == []
