"""Every alert and every panel, asked of a real Prometheus that scrapes a real gateway."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

from tests.deploy.prometheus import prometheus
from tests.deploy.queries import QUERIES
from tests.history.receiver import SECRET, Receiver, receiving
from tests.support.gateway import AGENTS, Gateway, emulator, gateway
from tests.support.ports import free_port
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

GUARDRAILS = [
    {"name": "numbers", "on": ["user"], "python": "app.examples.guardrails:mask_numbers"},
    {
        "name": "unreachable",
        "on": ["user"],
        "url": f"http://127.0.0.1:{free_port()}",
        "on_error": "pass",
    },
]
NATIVE = [Subprotocol("blackbox-relay.v1")]


async def order(gw: Gateway) -> None:
    """A conversation with a backend's tool and a browser's tool."""
    async with connect(
        f"{gw.ws}/ws/support?call_type=chat", subprotocols=NATIVE, proxy=None
    ) as socket:
        await socket.send(
            json.dumps({"type": "incomingChatMessage", "content": "Where is my order 1001?"})
        )
        try:
            async for text in socket:
                frame = json.loads(text)
                if frame["type"] == "websocketToolRequest":
                    answer = {"id": frame["content"]["id"], "result": {"shown": True}}
                    reply = {"type": "websocketToolResponse", "content": answer}
                    await socket.send(json.dumps(reply))
        except ConnectionClosed:
            pass


async def refused(gw: Gateway, path: str) -> None:
    """A conversation that comes to nothing."""
    try:
        async with connect(f"{gw.ws}{path}", subprotocols=NATIVE, proxy=None) as socket:
            async for _ in socket:
                pass
    except (InvalidHandshake, ConnectionClosed):
        pass


async def resumed(gw: Gateway) -> None:
    """A conversation whose browser comes back."""
    address = f"{gw.ws}/ws/echo?call_type=chat"
    async with connect(address, subprotocols=NATIVE, proxy=None) as socket:
        hello = json.loads(await socket.recv())
        socket.transport.abort()
    token = hello["data"]["resume"]["token"]
    async with connect(
        f"{address}&resume={token}&received=0", subprotocols=NATIVE, proxy=None
    ) as socket:
        await socket.send(json.dumps({"type": "incomingChatMessage", "content": "bye"}))
        async for _ in socket:
            pass


async def commanded(gw: Gateway) -> None:
    """A conversation into which a backend speaks."""
    address = f"{gw.ws}/ws/echo?call_type=chat"
    async with connect(address, subprotocols=NATIVE, proxy=None) as socket, gw.api() as backend:
        hello = json.loads(await socket.recv())
        notice = {"content": "Hello", "as": "notice"}
        session = hello["data"]["sessionId"]
        await backend.post(f"/v1/sessions/{session}/messages", json=notice)
        await socket.send(json.dumps({"type": "incomingChatMessage", "content": "bye"}))
        async for _ in socket:
            pass


async def test_every_query_is_answered_by_a_real_prometheus(tmp_path: Path) -> None:
    broken = {"blackbox_url": f"ws://127.0.0.1:{free_port()}", "default_call_type": "chat"}
    agents = {**AGENTS, "broken": broken, "bounded": broken}
    tenants = {
        "acme": {"agents": ["support"], "minutes_per_day": 1000},
        "small": {"agents": ["bounded"], "sessions_per_minute": 1},
    }
    async with (
        receiving(Receiver()) as results,
        emulator() as vendor,
        gateway(
            vendor.url,
            agents=agents,
            tenants=tenants,
            result_webhook_url=results.url,
            result_webhook_secret=SECRET,
            event_webhooks=json.dumps([{"url": results.url, "secret": SECRET}]),
            guardrails=json.dumps(GUARDRAILS),
            webhook_allowed_hosts="127.0.0.1/32",
            upstream_probe_interval=1,
        ) as gw,
        prometheus(tmp_path, {"blackbox-relay": gw.port}) as server,
    ):
        stop = asyncio.Event()

        async def talk() -> None:
            while not stop.is_set():
                await asyncio.gather(
                    order(gw), order(gw), resumed(gw), commanded(gw), refused(gw, "/ws/broken"),
                    refused(gw, "/ws/nobody"), refused(gw, "/ws/bounded"),
                )  # fmt: skip

        async def answered() -> bool:
            for query in QUERIES:
                values = await server.numbers(query.filled)
                if query.panel and not values:
                    silent.add(query.where)
                    return False
                silent.discard(query.where)
            return True

        silent: set[str] = set()
        async with asyncio.timeout(110), asyncio.TaskGroup() as group:
            group.create_task(talk())
            try:
                await until(answered, within=80, every=0.5)
            except AssertionError:
                pytest.fail(f"these panels show nothing: {silent}\n{gw.log[-2000:]}")
            finally:
                stop.set()

        assert sum(await server.numbers("sum(relay_sessions_total)")) >= 4
        delivered = await server.numbers('sum(relay_results_total{outcome="delivered"})')
        assert 0 < sum(delivered) <= len(results.taken)
        rules = (await server.api("rules"))["groups"][0]["rules"]
        assert len(rules) >= 12
        assert [rule["name"] for rule in rules if rule["health"] != "ok"] == []
        (target,) = (await server.api("targets"))["activeTargets"]
        assert (target["health"], target["lastError"]) == ("up", "")
