"""Three gateways before one emulator, shared by the package: a start costs more than a test.

`calm` has the defaults and every kind of tool, `hasty` gives up on anything soon, `strict` asks
who comes, counts them, and keeps backends on a port of their own. When one is over its log is
searched for the secrets that it knew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest_asyncio

from tests.support import gateway as processes
from tests.support import outside as applications
from tests.support.redis import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TOKEN = "canary+web/integration=token"
JWT_SECRET = "canary-jwt-secret-of-thirty-two-bytes-or-more"
BROWSER_TOOLS = ["show_order"]


def agents(**more: dict[str, Any]) -> dict[str, Any]:
    """The usual agents, and some of a test's own."""
    return processes.AGENTS | more


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def vendor() -> AsyncIterator[processes.Emulator]:
    """The package's emulator."""
    async with processes.emulator("--token", TOKEN) as running:
        running.secrets["web integration token"] = TOKEN
        yield running


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def outside() -> AsyncIterator[applications.Outside]:
    """The applications around the gateways."""
    async with applications.outside() as running:
        yield running


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def calm(
    vendor: processes.Emulator, outside: applications.Outside
) -> AsyncIterator[processes.Gateway]:
    """Open to everybody, with every kind of tool, and an agent on the vendor's other endpoint."""
    web_call = processes.AGENTS["echo"] | {"upstream": "webcall", "web_integration_token": TOKEN}
    async with processes.gateway(
        vendor.url,
        agents=agents(webcall=web_call),
        tools="app.examples.support_tools,tests.e2e.shop",
        http_tools=outside.tools(),
        webhook_allowed_hosts="127.0.0.1/32",
        tool_timeout=2,
        tool_concurrency=8,
    ) as running:
        running.secrets["web integration token"] = TOKEN
        running.secrets["webhook secret"] = applications.WEBHOOK_SECRET
        yield running


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def hasty(vendor: processes.Emulator) -> AsyncIterator[processes.Gateway]:
    """Open to everybody, and impatient with everybody."""
    async with processes.gateway(
        vendor.url,
        initialize_timeout=2,
        connect_timeout=2,
        ping_interval=1,
        ping_timeout=3,
        idle_timeout=5,
        handshake_timeout=2,
        resume_window=1,
        max_frame=4096,
    ) as running:
        yield running


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def strict(
    vendor: processes.Emulator, outside: applications.Outside
) -> AsyncIterator[processes.Gateway]:
    """Only for those it knows, and only so many of them."""
    async with processes.gateway(
        vendor.url,
        auth="jwt,ticket,forward",
        jwt_secret=JWT_SECRET,
        jwt_jwks_url=f"{outside.base}/keys",
        jwt_issuer="https://app.example.com",
        forward_auth_url=f"{outside.base}/forward",
        allowed_origins="https://app.example.com,https://*.example.org",
        trusted_proxies="127.0.0.1/32",
        internal_port=free_port(),
        webhook_allowed_hosts="127.0.0.1/32",
        max_sessions=6,
        max_sessions_per_subject=2,
        max_sessions_per_ip=4,
        resume_window=1,
        demo="true",
        content_tokens=None,
    ) as running:
        running.secrets["cookie"] = applications.COOKIE
        yield running
