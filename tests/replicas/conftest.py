"""Two replicas that tests of control share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest_asyncio

from tests.replicas.pair import ReplicaPair, replica_pair
from tests.support.gateway import AGENTS, SERVICE_TOKEN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import pytest

ASKS: dict[str, Any] = {
    **AGENTS["echo"],
    "tools": ["request_human", "check_order_status"],
    "initialize": {"additionalData": {"agent": "echo", "toolOn": "a person, please"}},
}


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def steered(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ReplicaPair]:
    """Two replicas with one history, whose operators may be silent for two seconds."""
    directory = tmp_path_factory.mktemp("takeover")
    async with replica_pair(
        directory,
        agents=AGENTS | {"asks": ASKS},
        takeover_lease=2,
        chat_keep=10,
        content_tokens=SERVICE_TOKEN,
        history_url=f"sqlite+aiosqlite:///{directory}/history.sqlite",
    ) as it:
        yield it
