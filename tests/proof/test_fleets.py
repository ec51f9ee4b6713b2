"""The proofs of releases and crashes hold in a small run, on gateways that are forked off."""

from __future__ import annotations

from signal import SIGTERM
from typing import TYPE_CHECKING

import pytest

from tests.proof import crash, rolling
from tests.proof.prefork import WarmGateway, forking
from tests.proof.report import Bound
from tests.support.gateway import emulator

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.source, pytest.mark.nightly, pytest.mark.timeout(600)]
SEED = 7


async def test_a_forked_gateway_serves_logs_and_ends_as_any_other(tmp_path: Path) -> None:
    async with emulator() as vendor, forking(tmp_path) as forks:
        one, other = (WarmGateway(forks, vendor.url) for _ in range(2))
        await one.start()
        await other.start()
        await one.ready()
        await other.ready()
        assert one.pid != other.pid
        await one.kill()
        other.signal(SIGTERM)
        assert await other.ended() == 0
        assert one.process is not None
        assert one.process.returncode == -9
        assert one.lines("serving")[0]["port"] == one.port
        assert other.lines("serving")[0]["port"] == other.port


def test_releases_hold() -> None:
    result = rolling.run(Bound(SEED, 3, 120.0))
    assert (result.verdict, result.found) == ("held", [])
    assert result.done["restarts"] == 3


def test_crashes_cost_the_conversations_of_their_replica_alone() -> None:
    result = crash.run(Bound(SEED, 3, 100.0))
    slow = [found for found in result.found if not found.startswith("back within")]
    assert (slow, result.unfinished, result.done["kills"]) == ([], [], 3)
