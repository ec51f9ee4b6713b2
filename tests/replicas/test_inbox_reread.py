"""After a failover an inbox is read from its beginning: what was done is not redone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from redis import Redis

from tests.replicas.pair import replica_pair
from tests.replicas.test_sharing import begun, resumed
from tests.support.browser import Browser, browser
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path


async def test_attachment_that_an_inbox_gives_again_ends_no_conversation(tmp_path: Path) -> None:
    """It asks for what the browser has confirmed since, and the browser is away just then."""
    async with replica_pair(tmp_path, auth="open") as pair:
        one, other = pair.replicas
        async with browser(f"{one.ws}/ws/echo?call_type=chat", native=True) as user:
            token, received = await begun(user)
            user.socket.transport.abort()
            async with await resumed(other, token, received) as socket:
                again = Browser(socket)
                await again.frame("event", "relay.resumed")
                await again.talks("two")
                received += len(again.raw) - 1
                await socket.send(json.dumps({"type": "relay.received", "count": received}))
                seen = len(again.raw)
                await again.talks("three")  # what is confirmed before it is let go
                received += len(again.raw) - seen
                socket.transport.abort()

            async def is_away() -> bool:
                return [row["browser"] for row in await pair.rows(0)] == ["away"]

            await until(is_away, within=30)
            assert give_again(pair.redis.port) > 0
            # The next attachment comes by the same inbox, after those.
            async with await resumed(other, token, received) as socket:
                back = Browser(socket)
                await back.frame("event", "relay.resumed")
                await back.talks("four")
                assert await back.terminate() == 1000


def give_again(port: int) -> int:
    """Append to each inbox what it holds; return how much that is."""
    count = 0
    with Redis(port=port) as redis:
        for name in redis.keys("*inbox:*"):
            for _, fields in redis.xrange(name):
                redis.xadd(name, fields)
                count += 1
    return count
