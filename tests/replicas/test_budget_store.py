"""The store of budgets is gone: nothing new of a tenant begins; what lives goes on and counts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import jwt

from tests.replicas.pair import ReplicaPair, replica_pair
from tests.support.browser import browser
from tests.support.gateway import AGENTS
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

KEY = "canary-shop-jwt-secret-of-thirty-two-bytes"
BUDGET = 300.0
TENANTS = {
    "shop": {
        "agents": ["default"],
        "jwt_secret": KEY,
        "minutes_per_day": BUDGET / 60,
    }
}
# What a replica says whenever it cannot report the time of its sessions.
GOES_ON = "live sessions go on; check RELAY_STATE_URL"
USED = 'relay_tenant_budget_used_ratio{period="day",tenant="shop"}'


def entering(pair: ReplicaPair, subject: str) -> Any:
    """A browser that comes by a JWT, which needs no store."""
    replica = pair.replicas[0]
    bearer = jwt.encode({"sub": subject, "exp": time.time() + 600}, KEY, "HS256")
    url = f"{replica.ws}/ws/default?call_type=chat"
    return browser(url, bearer=bearer, origin=replica.base)


async def test_without_the_store_nothing_begins_and_what_lives_goes_on(tmp_path: Path) -> None:
    agents = {"default": AGENTS["echo"], "free": AGENTS["echo"]}
    async with (
        replica_pair(
            tmp_path, replicas=1, auth="jwt", agents=agents, tenants=TENANTS, jwt_secret=KEY + "-op"
        ) as pair,
        entering(pair, "ann") as ann,
    ):
        await ann.connected()
        began = time.monotonic()
        pair.redis.kill()
        async with entering(pair, "bob") as bob:
            told, code = await bob.refused()
        assert (code, told["retry"]) == (4503, "reconnect")
        assert told["retryAfter"] > 0
        await ann.talks("still here")
        replica = pair.replicas[0]
        await until(lambda: len(replica.lines("state_lost", advice=GOES_ON)) >= 2)
        pair.redis.start()

        async def is_let_in() -> bool:
            async with entering(pair, "bob") as bob:
                frame = await bob.read()
                if frame["type"] == "error":
                    assert frame["data"]["code"] == 4503
                    return False
                await bob.frame("event", "connection")
                return bool(await bob.terminate() == 1000)

        await until(is_let_in, within=60, every=0.3)
        await ann.talks("all the time")

        lived = time.monotonic() - began
        assert await ann.terminate() == 1000

        async def is_counted() -> bool:
            return await replica.metric(USED) * BUDGET >= lived

        await until(is_counted)
