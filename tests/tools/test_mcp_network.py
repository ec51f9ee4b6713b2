"""MCP servers over HTTP on networks as they are: dead addresses, and a proxy on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.egress import AllowedHosts
from app.network import Proxies
from app.protocol.tool import Outcome
from app.tools.mcp_transport import Reach
from tests.network.hosts import SILENT, Names, proxying, silence
from tests.support.ports import free_port
from tests.tools.test_mcp import call, http_server, running, until_it_answers

if TYPE_CHECKING:
    from app.tools import ToolContext


async def test_a_server_is_asked_through_the_proxy_by_name(ctx: ToolContext) -> None:
    port = free_port()  # the server takes no other name than this machine's
    async with http_server(port), proxying(localhost=("127.0.0.1", port)) as proxy:
        reach = Reach(proxies=Proxies.read({"http_proxy": proxy.url}))
        written = {"s": {"url": f"http://localhost:{port}/mcp"}}
        async with running(written, reach=reach) as tools:
            await until_it_answers(tools, ctx)
            assert (await call(tools, ctx, "add", a=2, b=3)).outcome is Outcome.OK
    assert proxy.asked
    assert {line.split()[1] for line in proxy.asked} == {f"http://localhost:{port}/mcp"}


async def test_a_server_with_a_dead_first_address_is_reached(ctx: ToolContext) -> None:
    port = free_port()
    names = Names(localhost=[SILENT, "127.0.0.1"])
    async with http_server(port):
        with silence(port):
            written = {"s": {"url": f"http://localhost:{port}/mcp"}}
            allowed = AllowedHosts.parse(["127.0.0.0/8"])
            async with running(written, resolve=names, allowed=allowed) as tools:
                await until_it_answers(tools, ctx)
    assert "localhost" in names.asked
