"""What every test may use: real processes, on free ports."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from app.websocket.compiled import COMPILED
from tests.order import rank
from tests.support import gateway as processes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def pytest_addoption(parser: pytest.Parser) -> None:
    """What is under test, and sizes of the long runs."""
    parser.addoption(
        "--build",
        choices=("source", "compiled"),
        default="source",
        help="how the way of a frame runs: a run of the other build fails",
    )
    group = parser.getgroup("long runs")
    group.addoption("--cuts", type=int, default=100_000, help="how many sockets are cut")
    group.addoption("--cutting-minutes", type=float, help="stop cutting after so long")
    group.addoption("--rounds", type=int, default=10, help="how often each replica is restarted")
    group.addoption("--seed", type=int, help="of the cuts, as an earlier run printed it")


def pytest_configure(config: pytest.Config) -> None:
    """Make sure that the build under test is the one that is meant."""
    meant = config.getoption("--build")
    if COMPILED is not (meant == "compiled"):
        raise pytest.UsageError(f"not a {meant} build: see `make test`")
    gc.disable()  # modules and tests are collected, which make hardly any garbage


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Hand the longest files out first, where several workers share them."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: rank(item.nodeid.partition("::")[0]))


def pytest_collection_finish() -> None:
    """From now on look for garbage, but not among the modules and tests, which stay."""
    gc.freeze()
    gc.enable()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def emulator() -> AsyncIterator[processes.Emulator]:
    """An emulator for one module's tests, which run on the module's loop."""
    async with processes.emulator() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(emulator: processes.Emulator) -> AsyncIterator[processes.Gateway]:
    """A gateway with open authentication in front of a fresh emulator."""
    async with processes.gateway(emulator.url) as running:
        yield running
