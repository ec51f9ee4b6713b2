"""No secret is ever said: not in logs, frames, closes, errors, metrics or representations."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import jwt
import pytest
import pytest_asyncio
from websockets.exceptions import InvalidStatus

from tests.e2e.canaries import SECRETS
from tests.support import gateway as processes
from tests.support.browser import browser
from tests.support.canary import reveals_nothing
from tests.support.outside import COOKIE, WEBHOOK_SECRET

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.outside import Outside

pytestmark = pytest.mark.asyncio(loop_scope="package")

HELLO = {"type": "incomingChatMessage", "content": "hello"}


class Heard:
    """Everything that came out of a gateway, and what must not be in it."""

    def __init__(self, vendor: processes.Emulator, gateway: processes.Gateway) -> None:
        self.vendor = vendor
        self.gateway = gateway
        self.texts: list[str] = []

    async def ticket(self, agent: str = "echo") -> str:
        """Mint a ticket; the one answer that may hold it is not kept."""
        body = {"subject": "canary", "agent": agent}
        async with self.gateway.api(SECRETS["service token"]) as client:
            minted: str = (await client.post("/v1/tickets", json=body)).json()["ticket"]
        self.gateway.secrets[f"ticket {len(self.gateway.secrets)}"] = minted
        return minted

    def token(self, **claims: Any) -> str:
        """Sign a JWT."""
        given = {"sub": "canary", "exp": time.time() + 60} | claims
        signed = jwt.encode(given, SECRETS["JWT secret"], "HS256")
        self.gateway.secrets[f"JWT {len(self.gateway.secrets)}"] = signed
        return signed

    async def http(self, method: str, path: str, **options: Any) -> str:
        """Make a request; keep status, headers and body."""
        token = options.pop("token", SECRETS["service token"])
        async with self.gateway.api(token) as client:
            answer = await client.request(method, path, **options)
        self.texts.append(f"{answer.status_code} {answer.headers!r} {answer.text}")
        return answer.text

    async def talk(self, path: str, *frames: Any, **options: Any) -> None:
        """Hold a conversation, send frames, and end it; keep all that a browser sees."""
        try:
            async with browser(self.gateway.ws + path, **options) as page:
                with suppress(Exception):
                    for frame in frames:
                        await page.send(frame)
                        await asyncio.sleep(0)
                    await asyncio.wait_for(page.frame("text"), 3)
                    await page.send({"type": "terminate"})
                await page.closed()
                self.texts += [*page.raw, page.reason, repr(page.socket.response)]
        except InvalidStatus as refused:
            response = refused.response
            self.texts.append(f"{response!r} {response.headers} {response.body!r}")


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def heard(outside: Outside) -> AsyncIterator[Heard]:
    """A gateway whose every secret is a canary, after a broad run with all that goes wrong."""
    token = SECRETS["web integration token"]
    web_call = {"upstream": "webcall", "web_integration_token": token}
    agents = processes.AGENTS | {"webcall": processes.AGENTS["echo"] | web_call}
    tools = outside.tools(headers={"x-secret": SECRETS["tool's header"]})
    vendor = processes.Emulator(None, "--token", token)
    vendor.give_key(SECRETS["API key"])
    await vendor.start()
    await vendor.ready()
    gateway = processes.Gateway(
        vendor.url,
        blackbox_api_key=SECRETS["API key"],
        agents=json.dumps(agents),
        auth="jwt,ticket,forward",
        service_tokens=SECRETS["service token"],
        content_tokens=SECRETS["service token"],
        jwt_secret=SECRETS["JWT secret"],
        forward_auth_url=f"{outside.base}/forward",
        tools="app.examples.support_tools,tests.e2e.shop",
        http_tools=json.dumps(tools),
        webhook_allowed_hosts="127.0.0.1/32",
        result_webhook_url=f"{outside.base}/hook",
        result_webhook_secret=WEBHOOK_SECRET,
        event_webhooks=json.dumps(
            [{"url": f"{outside.base}/events", "secret": SECRETS["event secret"]}]
        ),
        connect_timeout=1,
        initialize_timeout=1,
        tool_timeout=1,
        log_level="debug",
    )
    gateway.secrets = vendor.secrets = dict(SECRETS)
    await gateway.start()
    await gateway.ready()
    it = Heard(vendor, gateway)
    try:
        await come_in(it)
        await go_wrong(it)
        await ask_around(it)
        yield it
    finally:
        await gateway.stop()
        await vendor.stop()


async def come_in(it: Heard) -> None:
    """Present every kind of credential, in every place, good and bad."""
    origin = it.gateway.base
    await it.talk(f"/ws/echo?ticket={await it.ticket()}", wish(), HELLO)
    used = await it.ticket()
    for _ in range(2):
        await it.talk(f"/ws/echo?ticket={used}&call_type=chat", HELLO, origin=origin)
    await it.talk(f"/ws/echo?%74icket={await it.ticket()}&call_type=chat", HELLO)
    await it.talk("/ws/echo", wish(), HELLO, bearer=await it.ticket(), origin=origin)
    await it.talk("/ws/echo", wish(), HELLO, bearer=it.token(), native=True)
    await it.talk(f"/ws/echo?token={it.token()}", origin=origin)
    await it.talk(f"/ws/echo?token={it.token()}")
    await it.talk("/ws/echo", bearer=it.token(exp=1), origin=origin)
    await it.talk("/ws/echo", bearer=it.token(call_type="fax"))
    await it.talk("/ws/nobody", bearer=it.token(agent="nobody"), origin=origin)
    header = {"authorization": f"Bearer {it.token()}"}
    await it.talk("/ws/echo?call_type=chat", HELLO, additional_headers=header)
    cookie = {"cookie": f"session={COOKIE}"}
    await it.talk("/ws/echo?call_type=chat", HELLO, additional_headers=cookie)
    broken = {"cookie": f"session=broken; x={COOKIE}"}
    await it.talk("/ws/echo", origin=origin, additional_headers=broken)
    await it.talk("/ws/webcall?call_type=chat", HELLO, bearer=await it.ticket("webcall"))
    for nonsense in ({"type": "x"}, b"binary", '{"a":1,"a":2}', "NaN"):
        frames = [nonsense] * 3
        await it.talk("/ws/echo", wish(), *frames, bearer=await it.ticket(), origin=origin)


async def go_wrong(it: Heard) -> None:
    """Let the vendor and the tools do what they should not."""
    for agent in ("echo", "webcall"):
        for fault in ("close_with_key", "rst", "odd_json", "bad_args", "unknown_tool", "oversize"):
            script = wish(fault=fault, tool="crash")
            await it.talk(f"/ws/{agent}", script, HELLO, bearer=await it.ticket(agent))
    for fault in ("refuse", "redirect", "rst_on_dial", "hang", "accept_silent", "not_enabled"):
        await it.vendor.order(fault)
        await it.talk("/ws/echo?call_type=chat", bearer=await it.ticket())
        await it.talk("/ws/echo?call_type=chat", HELLO, bearer=await it.ticket())
    for tool in ("hook", "hook_denied", "hook_private", "hook_hangs", "crash", "never"):
        script = wish(count=1, toolEvery=1, tool=tool, pieces=1)
        await it.talk("/ws/counter", script, bearer=await it.ticket("counter"))


async def ask_around(it: Heard) -> None:
    """Make requests, right and wrong, with secrets where they do not belong."""
    for path in ("/metrics", "/readyz", "/v1/sessions", "/v1/conversations", "/v1/nothing"):
        await it.http("GET", path)
    for wrong in ("wrong", SECRETS["service token"] + "x", SECRETS["service token"][:-1]):
        await it.http("GET", "/v1/sessions", token=wrong)
    said = {"subject": [SECRETS["API key"]], "ttl": SECRETS["service token"]}
    await it.http("POST", "/v1/tickets", json=said)
    key = quote(SECRETS["API key"], safe="")
    await it.http("GET", f"/api/v1/ws/dev?authorization={key}")
    await it.http("GET", f"/v1/sessions/{key}")
    await it.talk(f"/api/v1/ws/dev?authorization={key}")
    await it.http("GET", "/metrics")


def wish(**script: Any) -> dict[str, Any]:
    return {"type": "initialize", "request": {"callType": "chat", "additionalData": script}}


async def test_nothing_that_came_out_holds_a_secret(heard: Heard) -> None:
    assert len(heard.texts) > 100
    # It was tried: on either upstream the vendor's error frame held what it was dialled with.
    assert 'relay_upstream_oddities_total{kind="secret_withheld"} 2.0' in heard.texts[-1]
    reveals_nothing("what came out", "\n".join(heard.texts), heard.gateway.secrets)


async def test_no_log_holds_a_secret(heard: Heard) -> None:
    log = heard.gateway.log
    assert len(log.splitlines()) > 100
    reveals_nothing("the gateway's log", log, heard.gateway.secrets)
    reveals_nothing("the emulator's log", heard.vendor.log, heard.gateway.secrets)


async def test_key_reached_the_vendor_and_nobody_else(heard: Heard, outside: Outside) -> None:
    assert "bad_credentials" not in await heard.vendor.counters()
    told = json.dumps([outside.calls, outside.forged])
    secrets = {name: SECRETS[name] for name in ("API key", "service token", "JWT secret")}
    reveals_nothing("what webhooks were told", told, secrets)
