"""What holds places of a cap expires between half a day and a day after its last use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from redis import Redis

from app.state.interface import Caps
from app.state.redis import RedisState
from app.state.registration import EXPIRY
from tests.state.conftest import PATIENT, row

if TYPE_CHECKING:
    from tests.support.redis import RedisServer

ROOMY = Caps(per_subject=10, per_address=10)
MINUTE = 60_000


@pytest.mark.parametrize(
    ("left", "renewed"), [(EXPIRY // 2 + 10 * MINUTE, False), (EXPIRY // 2 - 10 * MINUTE, True)]
)
async def test_expiry_of_a_cap_is_set_again_once_half_of_it_has_passed(
    redis_server: RedisServer, prefix: str, left: int, renewed: bool
) -> None:
    state = RedisState(redis_server.url, "a", prefix=prefix, timings=PATIENT)
    try:
        assert await state.enter(row("s1"), ROOMY) is None
        keys = redis_server.keys(f"{{{prefix}}}:cap:*")
        assert len(keys) == 4, "counts and members of a subject and an address"
        with Redis(port=redis_server.port) as client:
            for key in keys:
                first = client.pttl(key)
                assert EXPIRY - 10 * MINUTE < first <= EXPIRY
                assert client.pexpire(key, left)
            assert await state.enter(row("s2"), ROOMY) is None
            lasts = [client.pttl(key) for key in keys]
            counts = [client.hgetall(key) for key in keys if client.type(key) == b"hash"]
        for last in lasts:
            assert (last > left) is renewed
        assert [counted[b""] for counted in counts] == [b"2", b"2"]
        assert all(len(counted) == 2 for counted in counts), "the sum, and one owner"
        await state.leave(row("s1"))
        await state.leave(row("s2"))
        assert not redis_server.keys(f"{{{prefix}}}:cap:*")
    finally:
        await state.close()
