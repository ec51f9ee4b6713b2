"""Two replicas on one Redis and one history, a provider, and people who sign in there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio

from tests.pages.browser import launched
from tests.replicas.pair import replica_pair
from tests.support import oidc
from tests.support.gateway import AGENTS, SERVICE_TOKEN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import pytest
    from playwright.async_api import Browser

    from tests.replicas.pair import ReplicaPair
    from tests.support.oidc import Provider

ASKS = AGENTS["echo"] | {
    "tools": ["request_human", "check_order_status"],
    "initialize": {"additionalData": {"agent": "echo", "toolOn": "a person, please"}},
}
APPROVED = AGENTS["counter"] | {"approve": {"check_order_status": "operator"}}


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def browser() -> AsyncIterator[Browser]:
    async with launched() as running:
        yield running


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def provider() -> AsyncIterator[Provider]:
    async with oidc.provider() as running:
        yield running


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def pair(
    tmp_path_factory: pytest.TempPathFactory, provider: Provider
) -> AsyncIterator[ReplicaPair]:
    folder = tmp_path_factory.mktemp("console")
    async with replica_pair(
        folder,
        auth="ticket,open",
        agents=AGENTS | {"asks": ASKS, "approved": APPROVED},
        history_url=f"sqlite+aiosqlite:///{folder}/history.db",
        service_tokens=SERVICE_TOKEN,
        console_oidc_issuer=provider.issuer,
        console_oidc_client_id=oidc.CLIENT,
        console_oidc_client_secret=oidc.SECRET,
    ) as running:
        yield running
