"""Guardrails of a real gateway: what they see, what they keep back, and what is left of it."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from standardwebhooks.webhooks import Webhook

from tests.support import gateway as processes
from tests.support.browser import browser
from tests.support.outside import WEBHOOK_SECRET
from tests.support.process import clean_environment
from tests.support.scripted_vendor import scripted_vendor
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.gateway import Gateway

EXAMPLES = "app.examples.guardrails"


async def test_a_conversation_under_guardrails(tmp_path: Path) -> None:
    asked: list[dict[str, Any]] = []

    async def judge(request: web.Request) -> web.Response:
        body = await request.read()
        asked.append(Webhook(WEBHOOK_SECRET).verify(body, dict(request.headers)))
        forbidden = "drop table" in asked[-1]["text"]
        verdict = {"action": "block", "message": "Not that."} if forbidden else {"action": "pass"}
        return web.json_response(verdict)

    application = web.Application()
    application.router.add_post("/judge", judge)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    rules = [
        {"name": "numbers", "on": ["user", "tool_result"], "python": f"{EXAMPLES}:mask_numbers"},
        {"name": "promises", "on": ["agent"], "python": "./app/examples/guardrails.py:no_promises"},
        {
            "name": "queries",
            "on": ["tool_args"],
            "url": f"http://127.0.0.1:{runner.addresses[0][1]}/judge",
            "secret": WEBHOOK_SECRET,
        },
    ]
    try:
        async with (
            scripted_vendor() as vendor,
            processes.gateway(
                vendor.url,
                guardrails=json.dumps(rules),
                agents={"default": {}},
                tools="tests.e2e.planted_tools",
                webhook_allowed_hosts="127.0.0.1/32",
                history_url=f"sqlite+aiosqlite:///{tmp_path}/history.db",
            ) as relay,
            browser(f"{relay.ws}/ws?call_type=chat", native=True) as page,
        ):
            session = await page.connected()
            await page.say("my card is 4111 1111 1111 1111")
            await until(lambda: vendor.messages() == ["my card is [card]"])
            await vendor.text("We give you a ")
            await vendor.text("guarantee of ")
            await vendor.text("ten years.")
            assert (await page.frame("error"))["data"]["message"] == (
                "Please ask our staff about that."
            )
            await vendor.ask("1", "tell", {"text": "drop table"})
            await vendor.ask("2", "tell", {"text": "4111111111111111"})
            await until(lambda: len(vendor.answers()) == 2)
            assert vendor.answers()["1"] == {"error": {"code": "blocked", "message": "Not that."}}
            assert vendor.answers()["2"]["said"] == "[card]"
            assert [(a["direction"], a["session_id"], a["tool"]) for a in asked] == [
                ("tool_args", session, "tell")
            ] * 2
            await vendor.close()
            assert await page.closed() == 1000
            shown = [f["content"]["text"] for f in page.frames if f["type"] == "text"]
            assert shown == ["We give you a "]
            verdicts = await recorded(relay, session)
            line = 'relay_guardrail_total{action="block",guardrail="promises"}'
            assert await relay.metric(line) == 2
    finally:
        await runner.cleanup()
    assert sorted((v["guardrail"], v["on"], v["action"]) for v in verdicts) == [
        ("numbers", "tool_result", "mask"),
        ("numbers", "user", "mask"),
        ("promises", "agent", "block"),
        ("promises", "agent", "block"),
        ("promises", "agent", "pass"),
        ("queries", "tool_args", "block"),
        ("queries", "tool_args", "pass"),
    ]


async def recorded(relay: Gateway, session: str) -> list[dict[str, Any]]:
    """The verdicts in a conversation's events, once it is written."""
    found: list[dict[str, Any]] = []

    async def written() -> bool:
        async with relay.api() as client:
            answer = await client.get(f"/v1/conversations/{session}/events?limit=100")
        if not answer.is_success:
            return False
        events = answer.json()["events"]
        found[:] = [e["data"] for e in events if e["name"] == "relay.guardrail"]
        return any(e["name"] == "closed" for e in events)

    await until(written)
    return found


@pytest.mark.parametrize("command", ["check", "serve"])
async def test_a_faulty_list_ends_the_start_with_its_position_and_member(command: str) -> None:
    rules = [{"name": "ok", "on": ["user"], "python": f"{EXAMPLES}:no_promises"}]
    rules.append({"name": "bad", "on": ["user"], "python": f"{EXAMPLES}:none"})
    environment = clean_environment() | {
        "RELAY_BLACKBOX_API_KEY": "canary-key",
        "RELAY_GUARDRAILS": json.dumps(rules),
    }

    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app", command),
        env=environment,
        cwd=processes.ROOT,
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    _, told = await process.communicate()
    assert process.returncode == 2
    assert told.decode().splitlines() == [
        f"error: RELAY_GUARDRAILS: item 2 (bad).python: {EXAMPLES} has no function none"
    ]
