"""A watcher whose token is removed sees no more, whichever replica it asks; others go on."""

from __future__ import annotations

import asyncio
import json
from signal import SIGHUP
from typing import TYPE_CHECKING, Any

from tests.replicas.pair import ReplicaPair, replica_pair
from tests.support.browser import browser
from tests.support.gateway import AGENTS, SERVICE_TOKEN
from tests.support.plain import plain_client
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.browser import Browser

OLD, NEW = "canary-shop-token-old", "canary-shop-token-new"
CONTENT = "canary-shop-token-that-reads"


def written(path: Path, tokens: list[str], content: list[str]) -> None:
    tenant = {"agents": ["default"], "service_tokens": tokens, "content_tokens": content}
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps({"shop": tenant} if tokens else {}))
    fresh.replace(path)


class Watcher:
    """One reader of a session's events, by one token and one replica."""

    def __init__(self, pair: ReplicaPair, replica: int, token: str, session: str) -> None:
        self.kinds: list[str] = []
        self.last: dict[str, Any] = {}
        self.open = asyncio.Event()
        self._url = f"{pair.replicas[replica].base}/v1/sessions/{session}/watch"
        self._headers = {"authorization": f"Bearer {token}"}

    async def run(self) -> None:
        async with (
            plain_client(headers=self._headers, timeout=60) as client,
            client.stream("GET", self._url) as answer,
        ):
            assert answer.status_code == 200
            async for line in answer.aiter_lines():
                self.open.set()
                if line.startswith("data: "):
                    self.last = json.loads(line.removeprefix("data: "))
                    self.kinds.append(self.last["kind"])


async def test_a_removed_token_ends_its_watchers_on_every_replica(tmp_path: Path) -> None:
    path = tmp_path / "tenants.json"
    written(path, [OLD, NEW, CONTENT], [CONTENT])
    async with replica_pair(
        tmp_path, auth="open", agents={"default": AGENTS["echo"]}, tenants_file=path
    ) as pair:
        url = f"{pair.replicas[0].ws}/ws/default?call_type=chat"
        async with browser(url, native=True, origin=pair.replicas[0].base) as user:
            session = await user.connected()
            await _rotated(pair, user, session, path)
            assert await user.terminate() == 1000


async def _rotated(pair: ReplicaPair, user: Browser, session: str, path: Path) -> None:
    watchers = {
        (token, replica): Watcher(pair, replica, token, session)
        for token in (OLD, NEW, CONTENT, SERVICE_TOKEN)
        for replica in (0, 1)
    }

    def closed(*tokens: str) -> bool:
        return {token for (token, _), task in tasks.items() if task.done()} == set(tokens) and all(
            tasks[token, replica].done() for token in tokens for replica in (0, 1)
        )

    async with asyncio.TaskGroup() as group:
        tasks = {key: group.create_task(watcher.run()) for key, watcher in watchers.items()}
        await until(lambda: all(watcher.open.is_set() for watcher in watchers.values()))
        # One is removed, another may no longer see what is said: it has to ask anew.
        written(path, [NEW, CONTENT], [])
        for running in pair.replicas:
            running.signal(SIGHUP)
        await until(lambda: closed(OLD, CONTENT), within=60)
        heard = [watchers[NEW, replica].kinds.count("frame") for replica in (0, 1)]
        await user.talks("still heard by the others")
        await until(
            lambda: all(
                watchers[NEW, replica].kinds.count("frame") > before
                for replica, before in enumerate(heard)
            )
        )
        for token in (OLD, CONTENT):
            for replica in (0, 1):
                last = watchers[token, replica].last
                assert (last["kind"], last["status"]) == ("unauthorized", 401), token
        assert not any(tasks[token, n].done() for token in (NEW, SERVICE_TOKEN) for n in (0, 1))
        for task in tasks.values():
            task.cancel()
