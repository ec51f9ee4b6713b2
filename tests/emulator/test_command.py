"""`python -m app.emulator`: the process, its banner, and its event loop (uvloop)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from typing import TYPE_CHECKING

import httpx
import pytest

import app.emulator.cli
from app.emulator import Emulator, Options, main
from app.emulator.agents import AGENTS
from app.emulator.faults import FAULTS
from tests.emulator.caller import Caller
from tests.emulator.peer import Peer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@contextlib.asynccontextmanager
async def process(*arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Run the command; yields it with its first line, the URL."""
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "app.emulator",
        "--port=0",
        "--quiet",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert running.stdout is not None
        line = await asyncio.wait_for(running.stdout.readline(), 30)
        yield running, line.decode().strip()
    finally:
        with contextlib.suppress(ProcessLookupError):
            running.kill()
        await running.communicate()


class Elsewhere:
    """Enough of an emulator for `Peer.dial`, when it runs in another process."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.options = Options()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_stops_it_with_status_0(number: signal.Signals) -> None:
    async with process() as (running, url):
        async with Peer.dial(Elsewhere(url)) as peer:  # type: ignore[arg-type]
            await peer.initialize("echo")
            await peer.until("event", name="connection")
            running.send_signal(number)
            await peer.closed()
        _, errors = await asyncio.wait_for(running.communicate(), 30)
        assert running.returncode == 0
        assert errors == b""


async def test_everything_works_on_uvloop_too() -> None:
    async with process("--log-level=error") as (_, url):
        elsewhere = Elsewhere(url)
        for fault, code in (("rst", 1006), ("drop", 1006), ("drop_after_closed", 1006), ("", 1000)):
            async with Peer.dial(elsewhere) as peer:  # type: ignore[arg-type]
                await peer.initialize("echo", fault=fault)
                if fault in {"drop_after_closed", ""}:
                    await peer.say("bye")
                assert (await peer.closed())[0] == code
        async with Peer.dial(elsewhere, "webCall") as peer, Caller() as caller:  # type: ignore[arg-type]
            await peer.initialize("voice", "webCall", carries="request", sdpField="invite")
            offer = (await peer.until("sdpInvite"))["data"]["invite"]
            await peer.send("sdpAnswer", data={"sdpAnswer": await caller.answer(offer)})
            await caller.hears(lambda h: abs(h.frequency - 440) < 5)
            caller.press("5")
            await peer.heard_until("You pressed 5.")
            await peer.send("terminate")
            assert (await peer.closed())[0] == 1006
        async with Peer.dial(elsewhere) as peer:  # type: ignore[arg-type]
            await peer.initialize("echo", fault="freeze", faultSeconds=0.2)
            await asyncio.wait_for(await peer.socket.ping(), 10)
        async with httpx.AsyncClient(trust_env=False) as client:
            door = url.replace("ws:", "http:") + "/emulator/conversations?ended=6"
            records = (await client.get(door, timeout=20)).json()
        assert [c["endedBy"] for c in records["conversations"]] == [
            "fault",
            "fault",
            "agent",
            "agent",
            "client",
            "client",
        ]


async def test_options_reach_the_emulator() -> None:
    arguments = ("--api-key=k1", "--token=t1", "--agent=echo", "--fault=drop", "--plain")
    async with process(*arguments) as (_, url):
        elsewhere = Elsewhere(url)
        for endpoint, secret, carries in (
            ("dev", "k1", "devRequest"),
            ("webCall", "t1", "request"),
        ):
            async with Peer.dial(elsewhere, endpoint, secret=secret) as peer:  # type: ignore[arg-type]
                await peer.initialize(None, carries=carries)
                assert (await peer.closed())[0] == 1006
            assert peer.names() == ["connection"]
            assert "recordId" in peer.frames[0]["data"]


async def test_a_port_that_is_taken_is_a_readable_failure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with process(f"--port={port}") as (running, line):
            _, errors = await asyncio.wait_for(running.communicate(), 30)
    assert line == ""
    assert running.returncode == 1
    assert errors.decode().startswith(f"emulator: cannot listen on port {port}: ")


def test_unknown_options_exit_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        main(["--fault=nonsense"])
    assert exited.value.code == 2
    assert "nonsense" in capsys.readouterr().err


async def test_the_banner_names_urls_agents_and_faults(emulator: Emulator) -> None:
    plain = app.emulator.cli.banner(emulator, color=False)
    assert f"{emulator.url}/api/v1/ws/dev?authorization=emulator-key" in plain
    assert f"{emulator.http_url}/emulator" in plain
    assert all(name in plain for name in (*AGENTS, *FAULTS))
    assert "support  chat     Greet" in plain
    assert "\x1b" not in plain
    assert max(len(line) for line in plain.splitlines()) <= 100
    assert "\x1b[1m" in app.emulator.cli.banner(emulator, color=True)


async def test_nothing_is_left_when_it_stops() -> None:
    async with (
        Emulator(Options(close_timeout=0.2)) as emulator,
        contextlib.AsyncExitStack() as all_,
    ):
        peers = [await all_.enter_async_context(Peer.dial(emulator)) for _ in range(5)]
        for peer in peers[:3]:
            await peer.initialize("echo")
            await peer.until("event", name="connection")
        await emulator.stop()
        for peer in peers:
            await peer.closed()
    left = [task for task in asyncio.all_tasks() if "app/emulator" in str(task.get_coro())]
    assert left == []


async def test_the_key_is_in_no_log_at_any_level(caplog: pytest.LogCaptureFixture) -> None:
    options = Options(api_key="canary-4f1d")
    with caplog.at_level(logging.DEBUG):
        async with Emulator(options) as emulator, Peer.dial(emulator) as peer:
            await peer.initialize("close_with_key")
            assert (await peer.closed())[0] == 1008
    told = [record for record in caplog.records if record.name != "websockets.client"]
    assert not [record for record in told if "canary" in record.getMessage()]
