from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.errors import ConfigurationError
from app.state.memory import MemoryState
from app.state.opening import open_state
from app.state.redis import RedisState

if TYPE_CHECKING:
    from tests.support.redis import RedisServer


def test_memory_is_opened() -> None:
    assert isinstance(open_state("memory://", "a"), MemoryState)


@pytest.mark.parametrize("url", ["redis://h:1/0", "rediss://h:1/0", "unix:///run/redis.sock"])
async def test_redis_is_opened_without_dialling(url: str) -> None:
    state = open_state(url, "a")
    assert isinstance(state, RedisState)
    await state.close()


@pytest.mark.parametrize(
    "url", ["", "http://h", "redis", "redis://h:port/0", "redis://h:99999999/0"]
)
def test_url_that_names_no_store_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        open_state(url, "a")
    assert wrong.value.faults[0].startswith("RELAY_STATE_URL")


async def test_opened_redis_answers(redis_server: RedisServer, prefix: str) -> None:
    state = open_state(redis_server.url, "a", prefix=prefix)
    await state.put_ticket("k", b"1", 60)
    assert await state.take_ticket("k") == b"1"
    await state.close()
