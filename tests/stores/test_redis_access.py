"""TLS with an authority of one's own, and the ACL users of the README, by Redis' own judgement."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from redis import Redis

from app.protocol.errors import StoreUnavailable
from app.state.interface import Caps
from app.state.redis import RedisState
from tests.replicas import test_sharing as sharing
from tests.replicas.pair import replica_pair
from tests.state.conftest import PATIENT, row, running
from tests.support.redis_cluster import RedisCluster
from tests.support.redis_security import Authority, secured_cluster, secured_sentinels
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.redis import RedisServer

ROOT = Path(__file__).parents[2]
SOURCES = ("app/state", "app/cluster")
OPTIONS = {"get", "set"}  # words of XREAD, SET and others are no commands
ROOMY = Caps(per_subject=1000, per_address=1000)


def documented(user: str) -> list[str]:
    """The words of the README's `ACL SETUSER` for a user, but for the password."""
    text = (ROOT / "README.md").read_text().replace("\\\n", " ")
    found = re.search(rf"^ACL SETUSER {user} on >\S+ (.*)$", text, re.MULTILINE)
    assert found, f"the README has no rule for {user}"
    return found[1].split()


def allow(server: RedisServer, user: str, password: str) -> None:
    reply = server.command("ACL", "SETUSER", user, "on", f">{password}", *documented(user))
    assert reply.startswith(b"+OK"), reply


def denied(servers: Sequence[RedisServer]) -> list[str]:
    """What Redis has refused to anybody."""
    said = []
    for server in servers:
        if server.is_running:
            with Redis(port=server.port) as client:
                said += [f"{each['reason']} {each['object']}" for each in client.acl_log()]
    return said


def test_documented_rule_allows_what_the_sources_use_and_nothing_else() -> None:
    used: set[str] = set()
    for folder in SOURCES:
        for path in (ROOT / folder).glob("*.py"):
            text = path.read_text()
            used.update(re.findall(r"redis\.call\('([A-Z]+)'", text))
            used.update(re.findall(r'[(,*]\s*"([A-Z]{3,})"', text))
    words = {"BLOCK", "COUNT", "MAXLEN", "MINID", "NOMKSTREAM", "STREAMS", "BYLEX", "REV"}
    allowed = {word[1:].upper() for word in documented("relay") if word.startswith("+")}
    connections = {"CLIENT|SETNAME", "CLUSTER|SLOTS", "SELECT", "INFO"}
    assert allowed - connections == {word for word in used if word not in words} - connections


async def test_cluster_by_tls_and_the_documented_user(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "tls")
    cluster, hosts = secured_cluster(tmp_path / "cluster", authority)
    with cluster:
        for node in cluster.nodes:
            allow(node, "relay", "canary%word")
        url = f"rediss+cluster://relay:{quote('canary%word', safe='')}@{hosts}?{authority.query}"
        await exercise(url)
        assert denied(cluster.nodes) == []
        await refused(url.replace(authority.query, ""), "certificate")
        await refused(url.replace("canary", "another"), "user or password")
        for node in cluster.nodes:
            node.command("ACL", "SETUSER", "relay", "-xread", "-zadd")
        await refused(url, "ACL")


@pytest.mark.nightly
async def test_gateways_hold_conversations_by_tls_and_the_documented_user(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "tls")
    cluster, hosts = secured_cluster(tmp_path / "cluster", authority)
    with cluster:
        for node in cluster.nodes:
            allow(node, "relay", "word")
        url = f"rediss+cluster://relay:word@{hosts}?{authority.query}"
        given: dict[str, Any] = {"auth": "ticket,jwt,open", "jwt_secret": sharing.SECRET}
        async with replica_pair(tmp_path / "pair", state_url=url, **given) as it:
            await sharing.test_browser_resumes_on_the_other_replica_and_back(it)
        assert denied(cluster.nodes) == []


async def test_sentinels_by_tls_and_users_of_their_own(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "tls")
    them, hosts = secured_sentinels(tmp_path / "sentinels", authority)
    try:
        await asyncio.to_thread(them.start)
        for server in them.servers:
            allow(server, "relay", "canary-data")
        for sentinel in them.sentinels:
            allow(sentinel, "relay-sentinel", "canary-sentinel")
        own = "sentinel_username=relay-sentinel&sentinel_password=canary-sentinel"
        url = f"rediss+sentinel://relay:canary-data@{hosts}/relay-store?{own}&{authority.query}"
        await exercise(url)
        assert denied([*them.servers, *them.sentinels]) == []
        await refused(url.replace("canary-sentinel", "another"), "Sentinel")
        await refused(url.replace("canary-data", "another"), "user or password")
        await refused(url.replace(authority.query, ""), "certificate")
    finally:
        await asyncio.to_thread(them.stop)


async def test_password_is_rotated_while_both_are_valid(tmp_path: Path) -> None:
    """Redis keeps a connection that it has let in; a replica that starts uses the new one."""
    with RedisCluster(tmp_path / "cluster", replicas=False) as cluster:
        hosts = cluster.url.partition("://")[2]
        for node in cluster.nodes:
            allow(node, "relay", "first")
        old = RedisState(f"redis+cluster://relay:first@{hosts}", "old", timings=PATIENT)
        new = RedisState(f"redis+cluster://relay:second@{hosts}", "new", timings=PATIENT)
        async with running(old):
            await until(lambda: is_up(old))
            for node in cluster.nodes:
                node.command("ACL", "SETUSER", "relay", ">second")
            async with running(new):
                await until(lambda: is_up(new))
                for node in cluster.nodes:
                    node.command("ACL", "SETUSER", "relay", "<first")
                await old.ping()
                assert await new.enter(row(replica="new"), ROOMY) is None
                assert (await new.sessions()).total == 1
        await refused(f"redis+cluster://relay:first@{hosts}", "user or password")


async def exercise(url: str) -> None:
    """What replicas ask of a store, through its parts."""
    a, b = (RedisState(url, name, timings=PATIENT) for name in ("a", "b"))
    async with running(a), running(b):
        await until(lambda: is_up(a))
        await until(lambda: is_up(b))
        await a.put_ticket("kept", b"payload", 60)
        assert await b.take_ticket("kept") == b"payload"
        assert await a.enter(row(), ROOMY) is None
        assert await b.find("s1") is not None
        assert (await b.sessions()).total == 1
        assert await a.tell("b", b"hello")
        assert await anext(b.inbox()) == b"hello"
        await a.leave(row())


async def is_up(state: RedisState) -> bool:
    try:
        await state.ping()
    except StoreUnavailable:
        return False
    return True


async def refused(url: str, why: str) -> None:
    """Expect that a replica which runs says why it is not ready."""
    state = RedisState(url, "c", timings=PATIENT)
    advice: list[str] = []

    async def says() -> bool:
        try:
            await state.ping()
        except StoreUnavailable as lost:
            advice.append(lost.advice or str(lost))
            return why in advice[-1]
        return False

    async with running(state):
        try:
            await until(says, within=15)
        except AssertionError:
            pytest.fail(f"{why!r} is not in {set(advice)}")
