"""Two tenants on two replicas: each sees, mints, ends and reads its own alone."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import jwt
import pytest
import pytest_asyncio

from tests.history.receiver import SECRET
from tests.replicas.pair import ReplicaPair, replica_pair
from tests.support.browser import Browser, browser
from tests.support.gateway import AGENTS
from tests.support.plain import plain_client
from tests.support.ports import free_port
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

pytestmark = pytest.mark.asyncio(loop_scope="module")

ACME, GLOBEX = "canary-acme-token-1", "canary-globex-token-1"
ACME_KEY = "canary-acme-jwt-secret-of-thirty-two-bytes"
GLOBEX_KEY = "canary-globex-jwt-secret-of-thirty-two-bytes"
ACME_PAGE, GLOBEX_PAGE = "https://acme.example", "https://globex.example"
NUMBER = "+15550001111"
TENANTS = {
    "acme": {
        "service_tokens": [ACME],
        "content_tokens": [ACME],
        "agents": ["acme-chat", "acme-phone", "acme-approved"],
        "allowed_origins": [ACME_PAGE],
        "jwt_secret": ACME_KEY,
        "jwt_issuer": "acme",
    },
    "globex": {
        "service_tokens": [GLOBEX],
        "agents": ["globex-chat"],
        "allowed_origins": [GLOBEX_PAGE],
        "max_sessions": 2,
        "jwt_secret": GLOBEX_KEY,
    },
}
PROFILES = {
    "default": AGENTS["echo"],
    "acme-chat": AGENTS["echo"],
    "acme-phone": AGENTS["phone"],
    "globex-chat": AGENTS["echo"],
    "acme-approved": AGENTS["counter"] | {"approve": {"check_order_status": "operator"}},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ReplicaPair]:
    """Two replicas for this module."""
    directory = tmp_path_factory.mktemp("tenants")
    async with replica_pair(
        directory,
        auth="ticket,jwt",
        agents=PROFILES,
        tenants=TENANTS,
        allowed_origins=None,
        max_sessions_per_subject=1,
        history_url=f"sqlite+aiosqlite:///{directory}/history.db",
        chat_keep=30,
        # Nothing listens there: what is sent to it waits, and can be sent again.
        event_webhooks=json.dumps(
            [{"url": f"http://127.0.0.1:{free_port()}/", "secret": SECRET, "tenant": "acme"}]
        ),
        webhook_allowed_hosts="127.0.0.1/32",
        tool_timeout=120,
    ) as it:
        yield it


def api(pair: ReplicaPair, token: str, replica: int = 1) -> httpx.AsyncClient:
    """A tenant's backend."""
    headers = {"authorization": f"Bearer {token}"}
    return plain_client(pair.replicas[replica].base, headers=headers)


async def minted(pair: ReplicaPair, token: str, **wanted: Any) -> dict[str, Any]:
    async with api(pair, token) as backend:
        answer = await backend.post("/v1/tickets", json={"subject": "alice", **wanted})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def page(pair: ReplicaPair, ticket: str, origin: str, path: str = "/ws", replica: int = 0) -> Any:
    url = f"{pair.replicas[replica].ws}{path}?call_type=chat&ticket={quote(ticket)}"
    return browser(url, native=True, origin=origin)


# The walk over every route


@dataclass
class Victim:
    """What acme has."""

    session: str
    ticket_id: str
    call: str
    web_token: str
    web_token_id: str
    over: str
    delivery: str
    asking: str
    approval: str

    @property
    def names(self) -> list[str]:
        """What no answer to another tenant may hold."""
        ids = (self.session, self.ticket_id, self.call, self.web_token_id, self.over)
        return [*ids, self.delivery, self.asking, "acme"]

    @property
    def parameters(self) -> dict[str, list[str]]:
        """Real values of every parameter of a path."""
        sessions = [self.session, self.call, self.over, self.asking]
        return {
            "session_id": sessions,
            "conversation_id": sessions,
            "integration": ["acme-chat"],
            "token_id": [self.web_token_id],
            "call_id": [self.approval],
            "delivery_id": [self.delivery],
        }


@dataclass
class Rule:
    """How another tenant's token calls a route, and what must come of it.

    With `status` it is refused with one of these; without, it may be answered, and the answer holds
    nothing of the first tenant's. `bare` routes have no token at all.
    """

    status: tuple[int, ...] = ()
    json: dict[str, Any] | None = None
    params: dict[str, Any] = field(default_factory=dict)
    bare: bool = False


def rules(victim: Victim) -> dict[str, Rule]:
    """One for each route of `/openapi.json`: a new route needs one, and one in `TENANT_ROUTES`."""
    none, public = Rule((404, 403)), Rule(bare=True)
    subject = {"subject": "alice"}
    call = {"agent": "acme-phone", "endpoint": NUMBER}
    said = {"content": "from another tenant", "as": "notice"}
    return {
        "GET /healthz": public,
        "GET /readyz": public,
        "GET /metrics": public,
        "GET /api/v1/ws/info": public,
        "GET /api/v1/web-integrations/discover": Rule((401, 403), bare=True),
        "POST /v1/tickets": Rule((404,), json=subject | {"agent": "acme-chat"}),
        "POST /api/v1/web-integrations/{integration}/tokens": Rule((404,), json={"name": "x"}),
        "DELETE /api/v1/web-integrations/{integration}/tokens/{token_id}": none,
        "GET /v1/sessions": Rule(),
        "GET /v1/sessions/{session_id}": none,
        "DELETE /v1/sessions/{session_id}": none,
        "GET /v1/sessions/{session_id}/watch": none,
        "POST /v1/sessions/{session_id}/messages": Rule((404,), json=said),
        "POST /v1/sessions/{session_id}/events": Rule((404,), json={"name": "x"}),
        "POST /v1/sessions/{session_id}/takeover": Rule((404,), json={"operator": "x"}),
        "PUT /v1/sessions/{session_id}/takeover": Rule((404,), json={"operator": "x"}),
        "DELETE /v1/sessions/{session_id}/takeover": none,
        "POST /v1/revocations": Rule(json={"credential_id": victim.ticket_id}),
        "GET /v1/drift": Rule((403,)),
        "GET /v1/audit": Rule((403,)),
        "POST /v1/calls": Rule((404,), json=call),
        "POST /v1/calls/bulk": Rule(json={"calls": [call]}),
        "GET /v1/calls/{session_id}": none,
        "DELETE /v1/calls/{session_id}": none,
        "GET /v1/conversations": Rule(params={"tenant": "acme"}),
        "DELETE /v1/conversations": Rule(params=subject | {"tenant": "acme"}),
        "GET /v1/conversations/{conversation_id}": none,
        "GET /v1/conversations/{conversation_id}/transcript": none,
        "GET /v1/conversations/{conversation_id}/events": none,
        "GET /v1/deliveries": Rule(),
        "POST /v1/deliveries/{delivery_id}/redeliver": none,
        "GET /v1/approvals": Rule(),
        "POST /v1/approvals/{session_id}/{call_id}": Rule((404,), json={"approve": True}),
        "GET /v1/usage": Rule(params={"tenant": "acme", "group": "subject"}),
    }


async def state_of(acme: httpx.AsyncClient, victim: Victim) -> dict[str, Any]:
    """What acme's own token says of its objects, without what changes by itself."""
    paths = (
        f"/v1/sessions/{victim.session}",
        f"/v1/calls/{victim.call}",
        f"/v1/conversations/{victim.over}",
        f"/v1/conversations/{victim.over}/transcript",
        f"/v1/conversations/{victim.over}/events",
        "/v1/approvals",
    )
    found = {}
    for path in paths:
        answer = await acme.get(path)
        assert answer.status_code == 200, (path, answer.text)
        counters = ("seconds", "frames_", "bytes_", "phase")
        found[path] = {k: v for k, v in answer.json().items() if not k.startswith(counters)}
    return found


def paths_of(path: str, victim: Victim) -> list[str]:
    """A route's path with every object of the first tenant's in it."""
    found = [path]
    for name, values in victim.parameters.items():
        if f"{{{name}}}" in path:
            found = [each.replace(f"{{{name}}}", value) for each in found for value in values]
    assert not any("{" in each for each in found), "a new parameter needs a real value"
    return found


async def called(client: httpx.AsyncClient, route: str, rule: Rule, victim: Victim) -> list[str]:
    """Call one route for each of the first tenant's objects; say what is wrong with the answers."""
    method, _, path = route.partition(" ")
    wrong = []
    for where in paths_of(path, victim):
        answer = await client.request(method, where, json=rule.json, params=rule.params)
        told = f"{method} {where}: {answer.status_code} {answer.text[:120]}"
        if rule.status and answer.status_code not in rule.status:
            wrong.append(told)
        if not rule.status and not answer.is_success:
            wrong.append(told)
        shown = answer.text.replace(where, "")
        if not rule.bare and any(name in shown for name in victim.names):
            wrong.append(f"{told} shows what is another tenant's")
    return wrong


async def own_delivery(acme: httpx.AsyncClient, session: str) -> str:
    """A delivery of a session's event, which its own tenant may send again: its id."""

    async def listed() -> str | None:
        rows = (await acme.get("/v1/deliveries")).json()["deliveries"]
        return next((row["id"] for row in rows if row["session_id"] == session), None)

    found: str = await until(listed, within=60)
    assert (await acme.post(f"/v1/deliveries/{found}/redeliver")).status_code == 202
    return found


async def own_approval(acme: httpx.AsyncClient, session: str) -> str:
    """A call of a session's that waits for approval: its id."""

    async def listed() -> str | None:
        rows = (await acme.get("/v1/approvals")).json()["approvals"]
        return next((row["id"] for row in rows if row["session_id"] == session), None)

    found: str = await until(listed, within=60)
    return found


async def test_another_tenant_reaches_no_object_by_any_route(pair: ReplicaPair) -> None:
    ticket = await minted(pair, ACME)
    script = {"agent": "counter", "count": 1, "rate": 1000, "toolEvery": 1, "toolTimeout": 100}
    asks = await minted(
        pair, ACME, subject="asks", agent="acme-approved", additional_data=script | {"expect": 1}
    )
    async with (
        api(pair, ACME) as acme,
        page(pair, ticket["ticket"], ACME_PAGE) as user,
        page(pair, asks["ticket"], ACME_PAGE) as other,
    ):
        session, asking = await user.connected(), await other.connected()
        await user.talks("said to acme")
        over = await _ended(pair)
        wanted = {"endpoint": NUMBER, "agent": "acme-phone", "additional_data": {"turns": 1000}}
        calling = await acme.post("/v1/calls", json=wanted)
        assert calling.status_code == 201, calling.text
        tokens = await acme.post(
            "/api/v1/web-integrations/acme-chat/tokens", json={"name": "of-the-shop"}
        )
        assert tokens.status_code == 201, tokens.text
        web, call = tokens.json(), calling.json()["session_id"]
        victim = Victim(
            session,
            ticket["id"],
            call,
            web["token"],
            web["tokenId"],
            over,
            await own_delivery(acme, session),
            asking,
            await own_approval(acme, asking),
        )

        async def is_kept() -> bool:
            path = f"/v1/conversations/{over}"
            answers = [(await acme.get(p)).json() for p in (path, f"{path}/transcript")]
            return bool(answers[0].get("ended_at")) and bool(answers[1].get("turns"))

        await until(is_kept, within=60)
        await until(lambda: _status(acme, call, "Running"), within=60)
        schema = (await acme.get("/openapi.json")).json()
        routes = {
            f"{method.upper()} {path}" for path, item in schema["paths"].items() for method in item
        }
        known = rules(victim)
        assert routes == known.keys(), "every route has a rule here, and no rule is left over"
        before = await state_of(acme, victim)
        async with api(pair, GLOBEX, 0) as here, api(pair, GLOBEX, 1) as there:
            wrong = [
                fault
                for client in (here, there)
                for route, rule in known.items()
                for fault in await called(client, route, rule, victim)
            ]
            bulk = await there.post("/v1/calls/bulk", json=known["POST /v1/calls/bulk"].json)
            erased = await there.delete("/v1/conversations", params={"subject": "alice"})
            console = await there.get("/console/session")  # no route of the schema
        assert wrong == []
        assert [each["status"] for each in bulk.json()["results"]] == [404]
        assert erased.json() == {"erased": 0}
        assert console.status_code == 403
        assert await state_of(acme, victim) == before
        # A revocation would end the session within five seconds.
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(6):
                await user.closed()
        await user.talks("still there")
        url = f"{pair.replicas[1].ws}/ws?call_type=chat&token={victim.web_token}"
        async with browser(url, native=True, origin=ACME_PAGE) as shopper:
            await shopper.connected()
            assert await shopper.terminate() == 1000
        # None of the refusals was one for want of the object: its own tenant reaches each.
        decided = f"/v1/approvals/{asking}/{victim.approval}"
        assert (await acme.post(decided, json={"approve": False})).status_code == 200
        for each in (call, asking):
            assert (await acme.delete(f"/v1/sessions/{each}")).status_code == 204
        assert await user.terminate() == 1000


async def _ended(pair: ReplicaPair) -> str:
    """A conversation of acme's that is over: its id."""
    ticket = await minted(pair, ACME, subject="alice-before")
    async with page(pair, ticket["ticket"], ACME_PAGE, "/ws/acme-chat", replica=1) as user:
        session: str = await user.connected()
        await user.talks("words that acme alone may read")
        assert await user.terminate() == 1000
    return session


async def _status(acme: httpx.AsyncClient, call: str, status: str) -> bool:
    return bool((await acme.get(f"/v1/calls/{call}")).json().get("status") == status)


async def test_the_operator_sees_all_and_a_tenant_its_own(pair: ReplicaPair) -> None:
    tickets = [await minted(pair, token) for token in (ACME, GLOBEX)]
    async with (
        page(pair, tickets[0]["ticket"], ACME_PAGE) as one,
        page(pair, tickets[1]["ticket"], GLOBEX_PAGE) as other,
    ):
        # One subject's cap is 1: another tenant's subject of the same name is another one.
        ids = {"acme": await one.connected(), "globex": await other.connected()}
        for token, expected in ((ACME, ["acme"]), (GLOBEX, ["globex"])):
            async with api(pair, token) as backend:
                answer = (await backend.get("/v1/sessions", params={"limit": 1})).json()
            assert [row["id"] for row in answer["sessions"]] == [ids[name] for name in expected]
            assert [row["tenant"] for row in answer["sessions"]] == expected
            assert (answer["next"], answer["total"], answer["queue"]) == (None, 1, None)
        rows = {row["id"]: row["tenant"] for row in await pair.rows(1)}
        assert {rows[session]: session for session in ids.values()} == ids
        metric = await pair.replicas[0].metric('relay_tenant_sessions{tenant="acme"}')
        assert metric == 1
        assert await one.terminate() == await other.terminate() == 1000


async def test_a_credential_opens_its_tenants_agents_alone(pair: ReplicaPair) -> None:
    for token, origin, path in (
        (ACME, GLOBEX_PAGE, "/ws/globex-chat"),
        (GLOBEX, ACME_PAGE, "/ws/acme-chat"),
    ):
        ticket = await minted(pair, token)
        async with page(pair, ticket["ticket"], origin, path) as user:
            assert (await user.refused())[1] == 4404
    own = await pair.mint()  # the operator's, for no agent in particular
    async with page(pair, own["ticket"], ACME_PAGE, "/ws/acme-chat") as user:
        assert (await user.refused())[1] == 4404
    pinned = await pair.mint(agent="acme-chat")
    async with page(pair, pinned["ticket"], ACME_PAGE) as user:
        await user.connected()
        assert await user.terminate() == 1000


async def test_origins_are_those_of_the_agents_tenant(pair: ReplicaPair) -> None:
    ticket = (await minted(pair, ACME))["ticket"]
    # By the path the tenant is known at once, without it only when the ticket has been read.
    for path in ("/ws/acme-chat", "/ws"):
        with pytest.raises(Exception, match="HTTP 403"):
            async with page(pair, ticket, GLOBEX_PAGE, path):
                raise AssertionError(path)
    async with plain_client(pair.replicas[0].base) as anyone:

        async def discovered(origin: str) -> httpx.Response:
            path = f"/api/v1/web-integrations/discover?token={quote(ticket)}"
            return await anyone.get(path, headers={"origin": origin})

        async def is_given_back() -> bool:
            return (await discovered(ACME_PAGE)).status_code == 200

        await until(is_given_back, within=60)
        origins = (GLOBEX_PAGE, ACME_PAGE, "https://elsewhere.example")
        answers = {origin: await discovered(origin) for origin in origins}
    assert [answer.status_code for answer in answers.values()] == [403, 200, 403]
    allowed = {
        origin: answer.headers.get("access-control-allow-origin")
        for origin, answer in answers.items()
    }
    assert allowed == {GLOBEX_PAGE: None, ACME_PAGE: ACME_PAGE, "https://elsewhere.example": None}
    async with page(pair, ticket, ACME_PAGE) as user:  # none of this has used it up
        await user.connected()
        assert await user.terminate() == 1000


def a_jwt(key: str, **claims: Any) -> str:
    return jwt.encode({"sub": "bob", "exp": time.time() + 600, **claims}, key, "HS256")


@pytest.mark.parametrize(
    ("token", "path", "origin", "code"),
    [
        (a_jwt(ACME_KEY, iss="acme"), "/ws/acme-chat", ACME_PAGE, 1000),
        (a_jwt(ACME_KEY, iss="acme"), "/ws", ACME_PAGE, 1000),
        (a_jwt(ACME_KEY, iss="acme", agent="acme-chat"), "/ws", ACME_PAGE, 1000),
        (a_jwt(GLOBEX_KEY), "/ws/globex-chat", GLOBEX_PAGE, 1000),
        (a_jwt(ACME_KEY, iss="acme"), "/ws/globex-chat", GLOBEX_PAGE, 4401),
        (a_jwt(GLOBEX_KEY, iss="acme"), "/ws/acme-chat", ACME_PAGE, 4401),
        (a_jwt(GLOBEX_KEY, iss="acme", agent="acme-chat"), "/ws", ACME_PAGE, 4401),
        (a_jwt(GLOBEX_KEY, agent="acme-chat"), "/ws/globex-chat", GLOBEX_PAGE, 4403),
        (a_jwt(ACME_KEY, iss="acme"), "/ws/default", None, 4401),
    ],
)
async def test_jwts_are_verified_by_their_tenants_keys(
    pair: ReplicaPair, token: str, path: str, origin: str | None, code: int
) -> None:
    base = pair.replicas[0]
    url = f"{base.ws}{path}?call_type=chat"
    async with browser(url, bearer=token, origin=origin or base.base) as user:
        if code == 1000:
            await user.connected()
            assert await user.terminate() == code
        else:
            assert (await user.refused())[1] == code


async def test_a_chat_is_joined_by_its_own_tenants_subject_alone(pair: ReplicaPair) -> None:
    first = await minted(pair, ACME, subject="carol")
    async with page(pair, first["ticket"], ACME_PAGE) as user:
        session = await user.connected()

        def joining(ticket: str, origin: str, replica: int) -> Any:
            url = f"{pair.replicas[replica].ws}/ws?session={session}&ticket={quote(ticket)}"
            return browser(url, native=True, origin=origin)

        for replica in (0, 1):
            stranger = await minted(pair, GLOBEX, subject="carol")
            async with joining(stranger["ticket"], GLOBEX_PAGE, replica) as other:
                assert (await other.refused())[1] == 4403
            again = await minted(pair, ACME, subject="carol")
            async with joining(again["ticket"], ACME_PAGE, replica) as second:
                assert await second.started() == session
        assert await user.terminate() == 1000


async def test_a_tenants_revocation_ends_its_own_session(pair: ReplicaPair) -> None:
    ticket = await minted(pair, ACME, subject="dave")
    async with page(pair, ticket["ticket"], ACME_PAGE) as user:
        await user.connected()
        async with api(pair, ACME) as acme:
            body = {"credential_id": ticket["id"]}
            assert (await acme.post("/v1/revocations", json=body)).status_code == 204
        assert (await user.refused())[1] == 4401


async def test_a_tenants_bound_holds_over_both_replicas(pair: ReplicaPair) -> None:
    async def come(replica: int) -> tuple[Browser, int]:
        ticket = await minted(pair, GLOBEX, subject=f"user-{replica}-{time.monotonic_ns()}")
        it = page(pair, ticket["ticket"], GLOBEX_PAGE, replica=replica)
        user = await stack.enter_async_context(it)
        frame = await user.read()
        return user, 0 if frame["type"] != "error" else frame["data"]["code"]

    from contextlib import AsyncExitStack  # noqa: PLC0415

    async with AsyncExitStack() as stack:
        came = [await come(number % 2) for number in range(4)]
        assert [code for _, code in came] == [0, 0, 4429, 4429]
        assert came[2][0].frames[0]["data"]["retryAfter"] >= 1
        await came[0][0].terminate()

        async def is_free() -> bool:
            return (await come(1))[1] == 0

        await until(is_free, within=60)
    metric = 'relay_tenant_refusals_total{reason="tenant_sessions",tenant="globex"}'
    assert await pair.replicas[0].metric(metric) == 1


async def test_a_faulty_tenants_file_stops_the_start(pair: ReplicaPair) -> None:
    from tests.support.gateway import Gateway  # noqa: PLC0415

    path = pair.redis.directory / "tenants.yaml"
    path.write_text(
        f"acme:\n  agents: [acme-chat]\n  service_tokens: [{ACME}]\n  max_sessions: many\n"
    )
    given = {k: v for k, v in pair.variables.items() if k != "tenants"}
    refused = Gateway(pair.vendor.url, **given, tenants_file=path)
    await refused.start()
    assert await refused.ended() == 2
    line = "RELAY_TENANTS: acme.max_sessions: should be a valid integer"
    assert line in refused.log
    assert "(line 4 of RELAY_TENANTS_FILE)" in refused.log
    assert ACME not in refused.log
