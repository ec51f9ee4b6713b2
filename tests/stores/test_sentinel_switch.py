"""A replica leaves a primary that Sentinels have replaced, before that is made a replica."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.protocol.errors import StoreUnavailable
from app.state.redis import RedisState, Timings
from tests.state.conftest import running
from tests.support.redis import RedisServer
from tests.support.sentinel import SERVICE, Sentinel
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path


async def is_alive(state: RedisState) -> bool:
    try:
        return await state.alive("a")
    except StoreUnavailable:
        return False


async def test_old_primary_that_still_takes_writes_is_left(tmp_path: Path) -> None:
    """The Sentinel does not know the old primary any more, so that nobody makes it a replica."""
    with RedisServer(tmp_path / "old") as old, RedisServer(tmp_path / "new") as new:
        sentinel = Sentinel(tmp_path / "sentinel", old.port, 1)
        sentinel.start()
        try:
            url = f"redis+sentinel://127.0.0.1:{sentinel.port}/{SERVICE}/0"
            state = RedisState(url, "a", timings=Timings(timeout=5.0))
            async with running(state):
                await until(lambda: is_alive(state), within=30)
                assert old.keys("*replica:a")
                sentinel.command("SENTINEL", "REMOVE", SERVICE)
                sentinel.command("SENTINEL", "MONITOR", SERVICE, "127.0.0.1", str(new.port), "1")
                await until(lambda: new.keys("*replica:a"), within=30)
                await until(lambda: is_alive(state), within=30)
                await until(lambda: is_left(old), within=30)
        finally:
            sentinel.kill()


def is_left(server: RedisServer) -> bool:
    """Whether the mark of life, which nobody renews there, has run out."""
    return not server.keys("*replica:a")
