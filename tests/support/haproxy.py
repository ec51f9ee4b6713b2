"""HAProxy, as deploy/ configures it, in front of a test's replicas."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tests.deploy.balancer import Balancer, ask, haproxy
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

__all__ = ["Balancer", "balanced", "up"]


@asynccontextmanager
async def balanced(
    directory: Path, ports: Sequence[int], edit: Callable[[str], str] = lambda text: text
) -> AsyncIterator[Balancer]:
    """HAProxy for the time of a block, once it sees both replicas up."""
    await asyncio.to_thread(directory.mkdir, parents=True, exist_ok=True)
    balancer = haproxy(directory, [f"127.0.0.1:{port}" for port in ports], edit)
    try:
        await until(lambda: up(balancer) == [True, True], within=60, every=0.2)
        yield balancer
    finally:
        balancer.stop()


def up(balancer: Balancer) -> list[bool]:
    """Which of the two replicas HAProxy sends new sessions to, by its own metrics."""
    try:
        text = ask(balancer.metrics, "/metrics").text
    except OSError:
        return []
    wanted = 'haproxy_server_status{proxy="gateways",server="gateway-%d",state="UP"} 1'
    return [wanted % number in text for number in (1, 2)]
