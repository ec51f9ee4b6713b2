"""Signing in at the console by OpenID Connect, against a real provider, over two replicas."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.console.operators import ADMIN, fault_of, person, signed_in
from tests.support import oidc
from tests.support.gateway import gateway
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.replicas.pair import ReplicaPair
    from tests.support.gateway import Emulator
    from tests.support.oidc import Provider

pytestmark = pytest.mark.asyncio(loop_scope="package")

REFUSED = {
    "wrong_nonce": "claims_invalid_claim",
    "no_nonce": "claims_missing_claim",
    "wrong_iss": "claims_invalid_claim",
    "wrong_aud": "claims_invalid_claim",
    "second_aud": "claims_invalid_claim",
    "expired": "claims_expired_token",
    "old": "too_old",
    "from_the_future": "claims_invalid_claim",
    "wrong_at_hash": "claims_invalid_claim",
    "no_subject": "invalid_subject",
    "alg_none": "wrong_algorithm",
    "alg_hs256": "wrong_algorithm",
    "wrong_key": "invalid_id_token",
    "mixed_up": "wrong_issuer",
    "wrong_state": "wrong_state",
}


async def test_a_person_signs_in_on_one_replica_and_is_known_on_the_other(
    pair: ReplicaPair, provider: Provider
) -> None:
    one, other = (replica.base for replica in pair.replicas)
    async with person(one) as browser:
        assert (await browser.client.get(f"{one}/v1/sessions")).status_code == 401
        provider.person, provider.fault = ADMIN, ""
        assert fault_of(await browser.sign_in(by=other)) == ""
        asked = provider.requests[-1]
        assert asked["scope"] == "openid profile email"
        assert asked["code_challenge_method"] == "S256"
        assert len(asked["state"]) == len(asked["nonce"]) == 43
        for base in (one, other):
            listed = await browser.client.get(f"{base}/v1/sessions")
            assert listed.status_code == 200
            who = (await browser.client.get(f"{base}/console/session")).json()
            assert who["sign_in"] == "oidc"
            assert who["actor"] == {"name": "ada@example.com", "role": "admin", "content": True}


async def test_the_cookie_of_a_session_is_out_of_reach_of_scripts_and_other_sites(
    pair: ReplicaPair, provider: Provider
) -> None:
    provider.person, provider.fault = ADMIN, ""
    async with person(pair.replicas[0].base) as browser:
        plain = (await browser.sign_in()).headers.get_list("set-cookie")
        session = next(one for one in plain if one.startswith("relay-console="))
        assert {"HttpOnly", "SameSite=strict", "Path=/"} <= {p.strip() for p in session.split(";")}
        assert "Secure" not in session
        behind_tls = {"x-forwarded-proto": "https", "x-forwarded-host": "relay.example.com"}
        sent = await browser.client.get(f"{browser.base}/console/sign-in", headers=behind_tls)
        begun = sent.headers["set-cookie"]
        assert begun.startswith("__Host-relay-console-sign-in=")
        assert {"HttpOnly", "SameSite=lax", "Secure"} <= {p.strip() for p in begun.split(";")}
        query = parse_qs(urlsplit(sent.headers["location"]).query)
        assert query["redirect_uri"] == ["https://relay.example.com/console/callback"]


@pytest.mark.parametrize("fault", sorted(REFUSED))
async def test_an_answer_that_is_not_the_providers_to_this_sign_in_is_refused(
    pair: ReplicaPair, provider: Provider, fault: str
) -> None:
    replica = pair.replicas[0]
    provider.person, provider.fault = ADMIN, fault
    before = len(replica.lines("console_sign_in_failed"))
    async with person(replica.base) as browser:
        assert fault_of(await browser.sign_in()) in {"failed", "expired"}
        assert (await browser.client.get(f"{replica.base}/v1/sessions")).status_code == 401
    failed = replica.lines("console_sign_in_failed")[before:]
    assert [line["cause"] for line in failed] == [REFUSED[fault]]


async def test_a_refusal_by_the_person_is_said_as_one(
    pair: ReplicaPair, provider: Provider
) -> None:
    provider.fault = "denied"
    async with person(pair.replicas[0].base) as browser:
        assert fault_of(await browser.sign_in()) == "denied"


async def test_the_providers_answer_is_good_once_and_in_the_browser_that_asked(
    pair: ReplicaPair, provider: Provider
) -> None:
    provider.person, provider.fault = ADMIN, ""
    base = pair.replicas[0].base
    async with person(base) as browser, person(base) as another:
        back = await browser.begin()
        await another.begin()
        assert fault_of(await another.client.get(back)) == "expired"
        assert fault_of(await browser.client.get(back)) == "expired"
        back = await browser.begin()
        cookies = dict(browser.client.cookies)
        redeemed = len(provider.redeemed)
        assert fault_of(await browser.client.get(back)) == ""
        browser.client.cookies.update(cookies)
        assert fault_of(await browser.client.get(back)) == "expired"
        assert len(provider.redeemed) == redeemed + 1


async def test_a_replayed_code_opens_nothing(pair: ReplicaPair, provider: Provider) -> None:
    provider.person, provider.fault = ADMIN, ""
    async with person(pair.replicas[0].base) as browser:
        used = parse_qs(urlsplit(await browser.begin()).query)
        back = (await browser.begin()).replace("code=", "old=") + f"&code={used['code'][0]}"
        refused = len(provider.refused)
        assert fault_of(await browser.client.get(back)) == "failed"
        assert provider.refused[refused:] == ["wrong verifier"]


async def test_who_has_no_role_is_told_so_and_gets_no_session(
    pair: ReplicaPair, provider: Provider
) -> None:
    provider.person, provider.fault = {"sub": "u9", "roles": ["visitor"]}, ""
    async with person(pair.replicas[0].base) as browser:
        assert fault_of(await browser.sign_in()) == "role"
        assert (await browser.client.get(f"{browser.base}/v1/sessions")).status_code == 401


async def test_roles_may_come_from_userinfo_of_the_same_person_alone(
    pair: ReplicaPair, provider: Provider
) -> None:
    provider.person, provider.fault = {"sub": "u7"}, ""
    for subject, expected in (("u7", ""), ("u8", "failed")):
        provider.userinfo = {"sub": subject, "roles": ["viewer"]}
        async with person(pair.replicas[0].base) as browser:
            assert fault_of(await browser.sign_in()) == expected


async def test_signing_out_ends_the_session_on_every_replica(
    pair: ReplicaPair, provider: Provider
) -> None:
    one, other = (replica.base for replica in pair.replicas)
    async with signed_in(one, provider, "viewer") as browser, person(other) as copied:
        copied.client.cookies.update(dict(browser.client.cookies))
        assert (await copied.ask("GET", "/v1/sessions")).status_code == 200
        assert (await browser.client.post(f"{one}/console/sign-out")).status_code == 403
        before = len(provider.signed_out)
        answer = await browser.ask("POST", "/console/sign-out")
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
        assert not browser.client.cookies
        assert (await copied.ask("GET", "/v1/sessions")).status_code == 401
        back = await browser.client.get(answer.json()["provider"])
        assert back.headers["location"] == f"{one}/console"
        assert [who["sub"] for who in provider.signed_out[before:]] == ["viewer-1"]
        assert (await browser.ask("POST", "/console/sign-out")).status_code == 204


async def test_a_persons_sessions_are_revoked_on_every_replica(
    pair: ReplicaPair, provider: Provider
) -> None:
    one, other = (replica.base for replica in pair.replicas)
    provider.person, provider.fault = {"sub": "gone", "roles": ["operator"]}, ""
    async with person(one) as browser:
        assert fault_of(await browser.sign_in()) == ""
        body = {"credential_id": "console:gone", "ttl": 60}
        assert (await pair.backend.post(f"{other}/v1/revocations", json=body)).status_code == 204
        assert (await browser.ask("GET", "/v1/sessions")).status_code == 401


async def test_another_site_cannot_use_the_cookie(pair: ReplicaPair, provider: Provider) -> None:
    async with signed_in(pair.replicas[0].base, provider, "admin") as browser:
        path, url = "/v1/sessions/none", f"{browser.base}/v1/sessions/none"
        assert (await browser.ask("DELETE", path)).status_code == 404
        refusals = [
            {},
            {"origin": browser.base},
            {"x-relay-console": "1"},
            {"x-relay-console": "1", "origin": "https://evil.example.com"},
            {"x-relay-console": "1", "origin": "null"},
            {"x-relay-console": "1", "origin": browser.base, "sec-fetch-site": "cross-site"},
        ]
        for headers in refusals:
            answer = await browser.client.delete(url, headers=headers)
            assert answer.status_code == 403, headers
        read = {"sec-fetch-site": "cross-site"}
        listed = await browser.client.get(f"{browser.base}/v1/sessions", headers=read)
        assert listed.status_code == 403


async def test_a_public_client_mapped_roles_and_a_session_that_runs_out(
    emulator: Emulator,
) -> None:
    async with (
        oidc.provider(secret=None, signs_out=False) as provider,
        gateway(
            emulator.url,
            console_oidc_issuer=provider.issuer,
            console_oidc_client_id=oidc.CLIENT,
            console_oidc_roles_claim="realm_access.roles",
            console_oidc_roles={"relay-people": "operator"},
            console_content="admin",
            console_session=3,
            console_url="http://127.0.0.1:1/relay/console",
        ) as running,
        person(running.base) as browser,
    ):
        provider.person = {"sub": "u1", "realm_access": {"roles": ["relay-people", "admin"]}}
        sent = await browser.client.get(f"{running.base}/console/sign-in")
        back = (await browser.client.get(sent.headers["location"])).headers["location"]
        assert back.startswith("http://127.0.0.1:1/relay/console/callback?")
        callback = f"{running.base}/console/callback?{urlsplit(back).query}"
        answer = await browser.client.get(callback)
        assert answer.headers["location"] == "http://127.0.0.1:1/relay/console"
        cookies = dict(browser.client.cookies)
        who = await browser.client.get(f"{running.base}/console/session")
        assert who.json()["actor"] == {"name": "u1", "role": "operator", "content": False}

        async def is_signed_out() -> bool:
            browser.client.cookies.update(cookies)
            answer = await browser.client.get(f"{running.base}/v1/sessions")
            return answer.status_code == 401

        assert await until(is_signed_out, within=60)
        sent = await browser.client.get(f"{running.base}/console/sign-in")
        back = (await browser.client.get(sent.headers["location"])).headers["location"]
        await browser.client.get(f"{running.base}/console/callback?{urlsplit(back).query}")
        own = {"origin": "http://127.0.0.1:1"}
        answer = await browser.ask("POST", "/console/sign-out", headers=own)
        assert answer.status_code == 204, "this provider has no end_session_endpoint"
        async with running.api() as backend:
            assert (await backend.get("/v1/sessions")).status_code == 200
