"""Real processes for end-to-end tests: the gateway and the emulator, on free ports of loopback."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self

from tests.support.plain import plain_client
from tests.support.ports import free_port
from tests.support.process import ROOT, Running, clean_environment

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

__all__ = [
    "AGENTS",
    "KEY",
    "OURS",
    "ROOT",
    "SCRIPT",
    "SERVICE_TOKEN",
    "Emulator",
    "Gateway",
    "Running",
    "clean_environment",
    "emulator",
    "gateway",
]

# Canaries, with characters that URLs and JSON escape: every process's log is searched for them.
KEY = "canary+api/key=4f1c&%7E"
SERVICE_TOKEN = "canary+service/token=9b2e"
OURS = {"API key": KEY, "service token": SERVICE_TOKEN}
# What a test's browser may set of the emulator's script: the script's settings, and its faults.
SCRIPT = [
    *("fault", "faultAfter", "faultBytes", "faultCount", "faultSeconds", "marker", "pace"),
    *("closeCode", "closeReason", "greeting", "echoUser", "pieces", "plain", "stay", "tool"),
    *("toolEvery", "toolTimeout", "count", "rate", "size", "expect", "seconds"),
    *("every", "interval", "tools", "toolOn", "reason", "partials", "sdpField"),
]
AGENTS: dict[str, dict[str, Any]] = {
    name: {
        "initialize": {"additionalData": {"agent": name}},
        "browser_tools": ["show_order"],
        "client_data_keys": SCRIPT,
        "phone_numbers": [r"\+1555\d{7}"],
    }
    for name in ("default", "echo", "support", "voice", "phone", "counter")
}
AGENTS["default"]["initialize"] = {"additionalData": {"agent": "echo"}}


class Emulator(Running):
    """The fake vendor as a process of its own."""

    def __init__(self, port: int | None = None, *more: str) -> None:
        self.port = port or free_port()
        self.url = f"ws://127.0.0.1:{self.port}"
        arguments = ["-m", "app.emulator", "--port", str(self.port), "--api-key", KEY, "--quiet"]
        super().__init__([*arguments, *more], clean_environment())
        self.secrets |= OURS

    def give_key(self, key: str) -> None:
        """Let it take another key; before it starts."""
        self._arguments = [key if argument == KEY else argument for argument in self._arguments]

    async def ready(self) -> Self:
        """Wait until it answers."""
        await self.answers(f"http://127.0.0.1:{self.port}/api/v1/ws/info", within=60)
        return self

    async def conversations(self) -> list[dict[str, Any]]:
        """What reached it, by its control API."""
        async with plain_client() as client:
            answer = await client.get(f"http://127.0.0.1:{self.port}/emulator/conversations")
        found: list[dict[str, Any]] = answer.json()["conversations"]
        return found

    async def violations(self) -> list[str]:
        """What clients did wrong in any conversation."""
        async with plain_client(timeout=60) as client:
            url = f"http://127.0.0.1:{self.port}/emulator/conversations?faulty=1"
            answer = await client.get(url)
        return [
            f"{conversation['marker']}: {violation}"
            for conversation in answer.json()["conversations"]
            for violation in conversation["violations"]
        ]

    async def over(self, count: int) -> list[dict[str, Any]]:
        """What reached it, once that many conversations are over."""
        query = {"count": count, "ended": count, "timeout": 60}
        async with plain_client(timeout=120) as client:
            url = f"http://127.0.0.1:{self.port}/emulator/conversations"
            answer = await client.get(url, params=query)
        assert answer.status_code == 200, f"not {count} ended conversations: {answer.status_code}"
        found: list[dict[str, Any]] = answer.json()["conversations"]
        return found

    async def conversation(self, marker: str, *, ended: bool = False) -> dict[str, Any]:
        """The one whose browser set this marker, once it is there, or over."""
        query: dict[str, str | int] = {"marker": marker, "count": 1, "timeout": 20}
        if ended:
            query["ended"] = 1
        async with plain_client() as client:
            url = f"http://127.0.0.1:{self.port}/emulator/conversations"
            answer = await client.get(url, params=query)
        assert answer.status_code == 200, f"no conversation {marker}: {answer.status_code}"
        found: dict[str, Any] = answer.json()["conversations"][0]
        return found

    async def kinds(self, marker: str, *, ended: bool = False) -> list[str]:
        """The types of the frames that reached it, in order."""
        conversation = await self.conversation(marker, ended=ended)
        return [kept["frame"]["type"] for kept in conversation["received"]]

    async def counters(self) -> dict[str, int]:
        """What it counted besides conversations."""
        async with plain_client() as client:
            answer = await client.get(f"http://127.0.0.1:{self.port}/emulator")
        found: dict[str, int] = answer.json()["counters"]
        return found

    async def order(self, fault: str, count: int | None = 1, **settings: Any) -> None:
        """Let a fault strike the next dials."""
        body = {"next": fault, "count": count, **settings}
        async with plain_client() as client:
            answer = await client.post(f"http://127.0.0.1:{self.port}/emulator/faults", json=body)
        assert answer.status_code == 200, answer.text

    async def behave(self) -> None:
        """Let no fault strike the next dials."""
        async with plain_client() as client:
            await client.delete(f"http://127.0.0.1:{self.port}/emulator/faults")

    async def last(self) -> dict[str, Any]:
        """The newest one."""
        return (await self.conversations())[-1]

    async def received(self) -> list[dict[str, Any]]:
        """The frames that reached the newest one, in order."""
        return [kept["frame"] for kept in (await self.last())["received"]]


class Gateway(Running):
    """One replica of the gateway. Keyword arguments are `RELAY_*` variables, lower-case."""

    def __init__(self, vendor: str, /, **variables: Any) -> None:
        self.port = int(variables.get("port", 0)) or free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.ws = f"ws://127.0.0.1:{self.port}"
        internal = variables.get("internal_port", self.port)
        self.internal = f"http://127.0.0.1:{internal}"
        given = {
            "blackbox_api_key": KEY,
            "blackbox_url": vendor,
            "host": "127.0.0.1",
            "port": self.port,
            "auth": "open",
            "service_tokens": SERVICE_TOKEN,
            "agents": AGENTS,
            "tools": "app.examples.support_tools",
            "max_sessions_per_subject": 5000,
            "max_sessions_per_ip": 5000,
            "drain_delay": 0,
            "drain_timeout": 5,
            "log_level": "debug",
        } | variables
        shown = {
            f"RELAY_{name.upper()}": json.dumps(value) if isinstance(value, dict) else str(value)
            for name, value in given.items()
            if value is not None
        }
        super().__init__(["-m", "app", "serve"], clean_environment() | shown)
        self.secrets |= OURS
        for name, value in variables.items():
            if name.endswith(("_secret", "_token", "_api_key")):
                self.secrets[name] = str(value)

    async def ready(self) -> Self:
        """Wait until it takes sessions."""
        await self.answers(f"{self.base}/readyz", within=90)
        return self

    def api(self, token: str = SERVICE_TOKEN) -> httpx.AsyncClient:
        """A backend's client of `/v1/*`."""
        headers = {"authorization": f"Bearer {token}"}
        return plain_client(self.internal, headers=headers)

    async def ticket(self, subject: str = "user", **pinned: Any) -> str:
        """Mint a ticket, as a backend does; it is searched for in the log as any secret."""
        async with self.api() as backend:
            answer = await backend.post("/v1/tickets", json={"subject": subject, **pinned})
        assert answer.status_code == 201, answer.text
        ticket: str = answer.json()["ticket"]
        self.secrets[f"ticket {len(self.secrets)}"] = ticket
        return ticket

    async def metric(self, line: str) -> float:
        """The value of one line of `/metrics`, 0 where there is none yet."""
        async with self.api() as client:
            text = (await client.get("/metrics")).text
        for found in text.splitlines():
            if found.startswith(line + " "):
                return float(found.rsplit(" ", 1)[1])
        return 0.0


@asynccontextmanager
async def emulator(*more: str) -> AsyncIterator[Emulator]:
    """An emulator for the time of a block."""
    running = Emulator(None, *more)
    await running.start()
    try:
        yield await running.ready()
    finally:
        await running.stop()


@asynccontextmanager
async def gateway(vendor: str, /, **variables: Any) -> AsyncIterator[Gateway]:
    """A gateway for the time of a block."""
    running = Gateway(vendor, **variables)
    await running.start()
    try:
        yield await running.ready()
    finally:
        await running.stop()
