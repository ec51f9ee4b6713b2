"""A gateway as `test` runs it, in this process, before an emulator with agents of a test's own."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from app.cli.local_gateway import local_gateway
from app.cli.quickstart import DEMO_AGENTS
from app.cli.scenarios.files import LoadedScenario, load
from app.cli.scenarios.mocks import MockedTool, Mocks
from app.cli.scenarios.player import Run, play
from app.emulator import Emulator, Options
from tests.support.gateway import ROOT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from app.cli.conversing.gateway import Gateway
    from app.emulator.conversation import Agent

SHIPPED = ROOT / "deploy" / "ci" / "scenarios"
TOOLS = ("check_order_status", "show_order", "no_such_tool")


class Stage:
    """Plays scenarios; `gateway` is where."""

    def __init__(self, gateway: Gateway, mocks: Mocks) -> None:
        self.gateway = gateway
        self._mocks = mocks
        self._count = 0

    async def play(self, loaded: LoadedScenario) -> Run:
        self._count += 1
        subject = f"subject-{self._count}"
        self._mocks[subject] = loaded.scenario.mocks
        return await play(loaded, self.gateway, subject)


@asynccontextmanager
async def stage(agents: Mapping[str, Agent] | None = None) -> AsyncIterator[Stage]:
    mocks: Mocks = {}
    replaced = {name: partial(MockedTool, name, mocks) for name in TOOLS}
    async with Emulator(Options(api_key="key"), agents) as emulator:
        known = {
            "RELAY_BLACKBOX_API_KEY": "key",
            "RELAY_BLACKBOX_URL": emulator.url,
            "RELAY_AGENTS": json.dumps(DEMO_AGENTS),
            "RELAY_TOOLS": "app.examples.support_tools",
        }
        async with local_gateway(known, replaced, logs=False) as gateway:
            yield Stage(gateway, mocks)


def written(path: Path, text: str) -> LoadedScenario:
    """The one scenario of a file with this text."""
    path.write_text(text, encoding="utf-8")
    (loaded,) = load([path])
    return loaded
