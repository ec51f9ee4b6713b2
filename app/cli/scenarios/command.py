"""`blackbox-relay test`: plays scenarios, reports, and makes one from a recorded conversation."""

from __future__ import annotations

import asyncio
import secrets
import sys
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from app.cli.conversing.gateway import Gateway, GatewayFailed, chosen, variables
from app.cli.local_gateway import local_gateway
from app.cli.scenarios.files import LoadedScenario, load
from app.cli.scenarios.junit import junit
from app.cli.scenarios.mocks import MockedTool
from app.cli.scenarios.player import Run, play
from app.cli.scenarios.recording import recorded
from app.cli.scenarios.report import Played, described, summary
from app.cli.terminal import Style
from app.network.loop import Loop
from app.protocol.errors import ConfigurationError

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from app.cli.scenarios.mocks import Mocks

HELD, FAILED = 0, 1
MAX_REPEAT = 10_000


def run(arguments: argparse.Namespace, dotenv: Path) -> int:
    """Run the command; return its exit status. Raises `ConfigurationError`."""
    known = variables(dotenv)
    with asyncio.Runner(loop_factory=Loop) as runner:
        try:
            if arguments.record is not None:
                return runner.run(_record(arguments, known))
            return runner.run(_test(arguments, known))
        except GatewayFailed as failed:
            print(f"error: {failed}", file=sys.stderr)
            return FAILED


async def _test(arguments: argparse.Namespace, known: Mapping[str, str]) -> int:
    if not arguments.files:
        raise ConfigurationError(["name at least one FILE with scenarios"])
    if not 1 <= arguments.repeat <= MAX_REPEAT:
        raise ConfigurationError([f"--repeat must be from 1 to {MAX_REPEAT}"])
    if not 0 <= arguments.min_pass_rate <= 1:
        raise ConfigurationError(["--min-pass-rate must be from 0 to 1"])
    loaded = load(arguments.files)
    mocks: Mocks = {}
    style, played = Style(sys.stdout), []
    async with _gateway(arguments.url, known, loaded, mocks) as gateway:
        for each in loaded:
            runs = [await _once(each, gateway, mocks) for _ in range(arguments.repeat)]
            played.append(Played(each, tuple(runs), arguments.min_pass_rate))
            print(described(played[-1], style), flush=True)
    print(summary(played))
    if arguments.junit is not None:
        plain = Style(sys.stdout)
        plain.colored = False
        _write(arguments.junit, junit(played, plain))
    return HELD if all(each.held for each in played) else FAILED


async def _once(loaded: LoadedScenario, gateway: Gateway, mocks: Mocks) -> Run:
    subject = f"scenario-{secrets.token_hex(8)}"
    mocks[subject] = loaded.scenario.mocks
    try:
        return await play(loaded, gateway, subject)
    finally:
        del mocks[subject]


@asynccontextmanager
async def _gateway(
    url: str | None, known: Mapping[str, str], loaded: list[LoadedScenario], mocks: Mocks
) -> AsyncIterator[Gateway]:
    """The gateway that is named, or one of this process's own."""
    if url is not None:
        yield chosen(url, known)
        return
    names = {name for each in loaded for name in each.scenario.mocks}
    replaced = {name: partial(MockedTool, name, mocks) for name in names}
    async with local_gateway(known, replaced) as gateway:
        yield gateway


async def _record(arguments: argparse.Namespace, known: Mapping[str, str]) -> int:
    gateway = chosen(arguments.url, known)
    if gateway.token is None:
        raise ConfigurationError(["RELAY_SERVICE_TOKENS is missing: history needs a bearer"])
    if len(arguments.files) > 1:
        raise ConfigurationError(["--record writes one FILE"])
    text = await recorded(gateway, arguments.record)
    if not arguments.files:
        print(text, end="")
        return HELD
    path: Path = arguments.files[0]
    _write(path, text.encode(), new=True)
    return HELD


def _write(path: Path, content: bytes, *, new: bool = False) -> None:
    """Write a file; `new`: it must not be there yet. Raises `ConfigurationError`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb" if new else "wb") as file:
            file.write(content)
    except FileExistsError:
        raise ConfigurationError([f"{path}: is there already"]) from None
    except OSError as error:
        raise ConfigurationError([f"{path}: cannot be written: {error.strerror}"]) from None
