"""Who is measured: how each relay is started, and how browsers speak to it."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.bench.machine import find
from tests.bench.process import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

HERE: Final = Path(__file__).parent
RELAYS: Final = HERE / "relays"
ROOT: Final = HERE.parents[1]
# As in a wheel: the way of a frame is compiled there.
COMPILED: Final = ROOT / ".cache" / "compiled"
VENDOR_PATH: Final = "/api/v1/ws/dev?authorization=bench-key"
SERVICE_TOKEN: Final = "a-token-of-the-benchmark-and-nothing-else"
GROWTH: Final = 9_000
MINTERS: Final = 8
"""Connections on which tickets are minted at once."""


@dataclass(frozen=True, slots=True)
class Browser:
    """How browsers speak to a relay: what they offer, and whether they confirm (resume).

    `header` is one more line of the handshake, in which % is the session's own credential: one of
    `credentials`, or where the relay wants `tickets`, one that is minted for it before.
    """

    path: str = "/ws/bench"
    header: str = ""
    credentials: tuple[str, ...] = field(default=(), repr=False)
    deflate: bool = False
    confirm: bool = False
    tickets: bool = False


@dataclass(frozen=True, slots=True)
class Wiring:
    """Where a relay listens, what it dials, where it may leave files."""

    port: int
    upstream: int
    tls: bool
    room: Path
    certificate: Path

    @property
    def url(self) -> str:
        """The upstream's base URL."""
        return f"{'wss' if self.tls else 'ws'}://127.0.0.1:{self.upstream}"


@dataclass(frozen=True, slots=True)
class Launch:
    """A command line and what is added to its environment."""

    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Peer:
    """One row. `rounds`: CPU per message and latency; `most`: sessions held in the growth stage.

    `kinds`: it is measured with every kind of frame, else with the first alone; `crowd`: also with
    many sessions and beside others; `backlog`: also while it catches up. `growths`: how often it
    grows, at most.
    """

    name: str
    title: str
    launch: Callable[[Wiring], Launch]
    browser: Browser = Browser()
    tls: bool = False
    rounds: bool = True
    most: int = 4_000
    kinds: bool = False
    crowd: bool = False
    backlog: bool = False
    growths: int = 1


def nginx(wiring: Wiring) -> Launch:
    config = _fill("nginx.conf", wiring)
    return Launch([find("nginx"), "-c", str(config), "-p", str(wiring.room), "-e", "stderr"])


def haproxy(wiring: Wiring) -> Launch:
    return Launch([find("haproxy"), "-db", "-f", str(_fill("haproxy.cfg", wiring))])


def terminator(wiring: Wiring) -> Launch:
    """Not a peer: TLS in front of the echo upstream."""
    return Launch([find("haproxy"), "-db", "-f", str(_fill("terminator.cfg", wiring))])


def node_ws(wiring: Wiring) -> Launch:
    if not (HERE / "node_modules" / "ws").exists():
        done = subprocess.run(
            [find("npm"), "ci", "--no-audit", "--no-fund"],
            cwd=HERE,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode:
            raise Fault(f"npm ci: {done.stderr.strip()[-400:]}")
    script = str(RELAYS / "ws_relay.mjs")
    return Launch([find("node"), script, str(wiring.port), wiring.url + VENDOR_PATH])


def aiohttp(loop: str) -> Callable[[Wiring], Launch]:
    def launch(wiring: Wiring) -> Launch:
        script = str(RELAYS / "aiohttp_relay.py")
        argv = [sys.executable, script, str(wiring.port), wiring.url + VENDOR_PATH, loop]
        return Launch(argv, _trust(wiring))

    return launch


def fastapi(wiring: Wiring) -> Launch:
    argv = [sys.executable, "-m", "uvicorn", "--app-dir", str(RELAYS), "fastapi_relay:app"]
    argv += ["--host", "127.0.0.1", "--port", str(wiring.port), "--no-access-log"]
    return Launch(argv, {"UPSTREAM": wiring.url + VENDOR_PATH, **_trust(wiring)})


def gateway(code: Path = COMPILED, **extra: str) -> Callable[[Wiring], Launch]:
    """Ours by its defaults: tickets, resume, caps, logs at info. One machine's limits are up."""

    def launch(wiring: Wiring) -> Launch:
        if not (code / "app").is_dir():
            raise Fault(f"{code.relative_to(ROOT)} is missing: `make bench` builds it")
        env = {
            "RELAY_HOST": "127.0.0.1",
            "RELAY_PORT": str(wiring.port),
            "RELAY_BLACKBOX_URL": wiring.url,
            "RELAY_BLACKBOX_API_KEY": "bench-key",
            "RELAY_SERVICE_TOKENS": SERVICE_TOKEN,
            "RELAY_AGENTS": json.dumps({"bench": {"call_types": ["chat"]}}),
            "RELAY_MAX_SESSIONS": "20000",
            "RELAY_FRAMES_PER_SECOND": "1000000",
            "RELAY_FRAME_BURST": "1000000",
            "RELAY_DRAIN_DELAY": "0",
            "RELAY_DRAIN_TIMEOUT": "2",
            "PYTHONPATH": str(code),
            "PYTHONSAFEPATH": "1",
            **_trust(wiring),
            **extra,
        }
        return Launch([sys.executable, "-m", "app", "serve"], env)

    return launch


def all_peers() -> tuple[Peer, ...]:
    """Everybody, in the table's order."""
    ours = replace(with_extra(), kinds=True, crowd=True, most=GROWTH, growths=2)
    with_compression = Browser(deflate=True)
    uvloop = aiohttp("uvloop")
    return (
        Peer("nginx", "nginx", nginx, kinds=True, crowd=True, most=GROWTH, growths=2),
        Peer("haproxy", "HAProxy", haproxy),
        ours,
        replace(
            with_extra("resume off", RELAY_RESUME_WINDOW="0"), name="gateway-resume-off", growths=0
        ),
        replace(ours, name="gateway-source", title="Blackbox Relay, not compiled",
                launch=gateway(ROOT), kinds=False, crowd=False, growths=0),
        Peer("node", "Node ws", node_ws, kinds=True, crowd=True),
        Peer("aiohttp-uvloop", "aiohttp, uvloop", uvloop, kinds=True, crowd=True),
        Peer("aiohttp", "aiohttp, asyncio", aiohttp("asyncio"), growths=0),
        Peer("fastapi", "FastAPI + websockets", fastapi, kinds=True, crowd=True),
        Peer("fastapi-deflate", "FastAPI, compression", fastapi, with_compression, growths=0),
        Peer("nginx-wss", "nginx", nginx, tls=True, most=1_000),
        replace(with_extra(), name="gateway-wss", tls=True, most=1_000),
        Peer("aiohttp-wss", "aiohttp, uvloop", uvloop, tls=True, rounds=False, most=1_000),
        Peer("fastapi-wss", "FastAPI + websockets", fastapi, tls=True, rounds=False, most=1_000),
    )  # fmt: skip


def with_extra(name: str = "", **env: str) -> Peer:
    """Build a row of ours, by default the plain one. Each session is somebody else's."""
    title = f"Blackbox Relay, {name}" if name else "Blackbox Relay"
    header = "Sec-WebSocket-Protocol: blackbox-relay.v1, bearer.%"
    browser = Browser(header=header, confirm=env.get("RELAY_RESUME_WINDOW") != "0", tickets=True)
    return Peer(f"gateway-{name}" if name else "gateway", title, gateway(COMPILED, **env), browser)


def mint(port: int, count: int, timeout: float = 120) -> tuple[str, ...]:
    """Mint tickets at a gateway, as a backend does: each is for another user, and good once.

    Several connections at a time, within `timeout` seconds in all. Raises Fault.
    """
    deadline = time.monotonic() + timeout
    shares = [range(first, count, MINTERS) for first in range(min(count, MINTERS))]
    with ThreadPoolExecutor(MINTERS) as pool:
        minted = [pool.submit(_mint, port, share, deadline) for share in shares]
        return tuple(ticket for future in minted for ticket in future.result())


def _mint(port: int, numbers: range, deadline: float) -> list[str]:
    """Mint these users' tickets, one after the other, on a connection of their own."""
    headers = {"Authorization": f"Bearer {SERVICE_TOKEN}", "Content-Type": "application/json"}
    tickets: list[str] = []
    with contextlib.closing(
        http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    ) as connection:
        for number in numbers:
            if time.monotonic() > deadline:
                raise Fault(f"tickets: {len(tickets)} of {len(numbers)} minted in time")
            wanted = {"subject": f"browser-{number}", "agent": "bench", "ttl": 300}
            connection.request("POST", "/v1/tickets", json.dumps(wanted), headers)
            answer = connection.getresponse()
            told = answer.read()
            if answer.status != HTTPStatus.CREATED:
                raise Fault(f"no ticket: {answer.status} {told[:200]!r}")
            tickets.append(json.loads(told)["ticket"])
    return tickets


def _trust(wiring: Wiring) -> dict[str, str]:
    return {"SSL_CERT_FILE": str(wiring.certificate)} if wiring.tls else {}


def _fill(template: str, wiring: Wiring) -> Path:
    text = (RELAYS / template).read_text()
    values = {
        "PORT": wiring.port,
        "UPSTREAM": wiring.upstream,
        "ROOM": wiring.room,
        "CERTIFICATE": wiring.certificate,
        "SCHEME": "https" if wiring.tls else "http",
    }
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    config = wiring.room / template
    config.write_text(text)
    return config
