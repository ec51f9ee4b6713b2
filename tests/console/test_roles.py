"""What each role may do, over every route that the gateway describes."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest
from websockets.asyncio.client import connect

from app.web.actor import Role
from app.web.console.role_claims import RoleClaims, shown_name
from app.web.roles import LEAST_ROLE, least_role, route_key
from tests.console.operators import signed_in

if TYPE_CHECKING:
    from tests.replicas.pair import ReplicaPair
    from tests.support.oidc import Provider

# Open to every client: probes, pages and what browsers ask before they connect.
PUBLIC = {
    *("/healthz", "/readyz", "/metrics", "/asyncapi.json", "/api/v1/ws/info"),
    "/api/v1/web-integrations/discover",
}
VERBS = ("get", "post", "put", "patch", "delete")


@pytest.mark.asyncio(loop_scope="package")
async def test_every_described_route_has_a_role_and_holds_it(
    pair: ReplicaPair, provider: Provider
) -> None:
    base = pair.replicas[0].base
    described = (await pair.backend.get(f"{base}/openapi.json")).json()["paths"]
    guarded = [
        (verb.upper(), path)
        for path, operations in described.items()
        for verb in VERBS
        if verb in operations and path not in PUBLIC
    ]
    assert [route for route in guarded if route_key(*route) not in LEAST_ROLE] == []
    assert len(guarded) >= 16
    wrong = []
    async with AsyncExitStack() as stack:
        for role in Role:
            one = await stack.enter_async_context(signed_in(base, provider, role.name.lower()))
            for method, path in guarded:
                url = path.replace("{", "").replace("}", "")
                status = (await one.ask(method, url)).status_code
                if (status == 403) != (role < least_role(method, path)) or status == 401:
                    wrong.append((role.name, method, path, status))
    assert wrong == []
    for method, path in guarded:
        url = f"{base}{path}".replace("{", "").replace("}", "")
        bare = await pair.backend.request(method, url, headers={"authorization": ""})
        assert bare.status_code == 401, (method, path)


def test_a_route_that_was_forgotten_is_an_admins() -> None:
    assert least_role("POST", "/v1/new/{thing}") is Role.ADMIN
    assert least_role("HEAD", "/v1/sessions") is Role.VIEWER


@pytest.mark.asyncio(loop_scope="package")
async def test_a_viewer_follows_a_session_without_what_is_said(
    pair: ReplicaPair, provider: Provider
) -> None:
    base = pair.replicas[0].base
    data = {"agent": "counter", "rate": 20.0, "count": 1000}
    ticket = (await pair.mint(subject="followed", additional_data=data))["ticket"]
    async with connect(f"{pair.replicas[0].ws}/ws?ticket={ticket}"):
        row = await pair.row_of("followed")
        for role, sees in (("viewer", False), ("operator", True)):
            async with (
                signed_in(base, provider, role) as one,
                one.client.stream("GET", f"{base}/v1/sessions/{row['id']}/watch") as stream,
            ):
                assert stream.status_code == 200
                async for line in stream.aiter_lines():
                    if '"type":"text"' in line:
                        assert ('"content"' in line) is sees
                        break


@pytest.mark.parametrize(
    ("claim", "claims", "role"),
    [
        ("roles", {"roles": ["viewer", "operator"]}, Role.OPERATOR),
        ("roles", {"roles": "admin"}, Role.ADMIN),
        ("roles", {"roles": ["Admin", 3, None]}, None),
        ("roles", {"groups": ["admin"]}, None),
        ("a.b", {"a": {"b": ["viewer"]}}, Role.VIEWER),
        ("a.b", {"a.b": "viewer", "a": {"b": ["admin"]}}, Role.VIEWER),
        ("a.b", {"a": "text"}, None),
        ("https://x.example/roles", {"https://x.example/roles": ["admin"]}, Role.ADMIN),
    ],
)
def test_the_claim_leads_to_the_highest_role(
    claim: str, claims: dict[str, object], role: Role | None
) -> None:
    assert RoleClaims(claim).role(claims) is role


def test_a_person_is_shown_by_a_verified_name_without_control_characters() -> None:
    assert shown_name({"sub": "s", "email": "a@b.example", "name": "A"}) == "A"
    assert shown_name({"sub": "s", "email": "a@b.example", "name": " "}) == "a@b.example"
    unverified = {"sub": "s", "email": "boss@b.example", "email_verified": False}
    assert shown_name(unverified) == "s"
    assert shown_name({"sub": "s", "name": "A\nB\u202e"}) == "A B"
    assert len(shown_name({"sub": "s", "name": "x" * 1000})) == 128


@pytest.mark.asyncio(loop_scope="package")
async def test_who_signs_out_elsewhere_watches_no_longer(
    pair: ReplicaPair, provider: Provider
) -> None:
    """The stream is at one replica, signing out at the other."""
    here, there = (replica.base for replica in pair.replicas)
    ticket = (await pair.mint(subject="watched-on"))["ticket"]
    async with (
        connect(f"{pair.replicas[0].ws}/ws?ticket={ticket}"),
        signed_in(here, provider, "operator") as one,
    ):
        row = await pair.row_of("watched-on")
        path = f"{here}/v1/sessions/{row['id']}/watch"
        async with one.client.stream("GET", path, timeout=60) as stream:
            lines = stream.aiter_lines()
            assert await anext(lines) == ": watching"
            again = type(one)(there, one.client)
            assert (await again.ask("POST", "/console/sign-out")).status_code == 200
            seen = [line async for line in lines if line.startswith("data: ")]
    assert json.loads(seen[-1].removeprefix("data: "))["kind"] == "unauthorized"
