"""Asks the vendor what a web integration offers (`discover`, D), and remembers it for a while."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from time import monotonic
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import structlog

from app.egress import FAILURES, AnswerRefused, cause_of, json_of, read_bounded
from app.protocol.discover import malformed, tool_names
from app.protocol.errors import RelayError, UpstreamError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import httpx

    from app.protocol.initialize import Profile
    from app.upstream.endpoint import Endpoint

log = structlog.get_logger(__name__)

DISCOVER: Final = "/api/v1/web-integrations/discover"
TIMEOUT: Final = 5.0
MAX_ANSWER: Final = 64 << 10
FRESH: Final = 60.0
"""Seconds for which an answer is used without asking again."""

RETRY: Final = 10.0
"""Seconds after a failure until the vendor is asked again."""

OK: Final = 200


class DiscoverFailed(RelayError):  # noqa: N818 - caught by callers that go on without it
    """The vendor told nothing that can be used; `cause` is a word from a closed set."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


async def ask(endpoint: Endpoint, client: httpx.AsyncClient) -> dict[str, Any]:
    """Ask once. Raises `DiscoverFailed`. An answer that repeats the token is not used."""
    try:
        async with asyncio.timeout(TIMEOUT):
            token = (await endpoint.credential.current()).get_secret_value()
            base = endpoint.base.replace("ws", "http", 1).rstrip("/")
            url = f"{base}{DISCOVER}?token={quote(token, safe='')}"
            async with client.stream("GET", url) as response:
                body = await read_bounded(response, MAX_ANSWER)
                status = response.status_code
    except UpstreamError:
        raise DiscoverFailed("no_credential") from None
    except FAILURES as error:
        raise DiscoverFailed(cause_of(error)) from None
    if status != OK:
        raise DiscoverFailed(f"http_{status}")
    try:
        answer = json_of(body)
    except AnswerRefused as refused:
        raise DiscoverFailed(refused.cause) from None
    wrong = malformed(answer)
    if wrong is not None:
        raise DiscoverFailed(f"malformed_{wrong}")
    if _holds(answer, token):
        raise DiscoverFailed("repeats_token")
    found: dict[str, Any] = answer
    return found


@dataclass(slots=True)
class _Known:
    answer: dict[str, Any] | None
    until: float


class Integrations:
    """What the integration of each agent of `endpoints` offers. `run` must be running.

    One request at a time is made for an agent, however many callers wait for it. After a failure
    the last answer stays in use.
    """

    def __init__(
        self,
        endpoints: Mapping[str, Endpoint],
        client: httpx.AsyncClient,
        *,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._endpoints = endpoints
        self._client = client
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._tasks: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Own the requests until cancelled; the client is closed then."""
        async with self._client, asyncio.TaskGroup() as self._tasks:
            await asyncio.Event().wait()

    async def offered(self, agent: str) -> dict[str, Any] | None:
        """What the agent's integration offers; None where there is none, or it is not known."""
        if agent not in self._endpoints:
            return None
        known = self._known.get(agent)
        if known is None or known.until <= self._clock():
            await self._asked(agent)
            known = self._known.get(agent)
        return None if known is None else known.answer

    def forget(self, agents: Iterable[str]) -> None:
        """Ask anew for agents that have changed."""
        for agent in agents:
            self._known.pop(agent, None)

    async def resolve(self, profile: Profile) -> Profile:
        """Give a profile the browser tools that its integration lists, if it is to have those."""
        if not profile.integration_tools:
            return profile
        listed = await self.offered(profile.name)
        return replace(profile, browser_tools=frozenset() if listed is None else tool_names(listed))

    async def _asked(self, agent: str) -> None:
        """Wait for a request that is under way, or for a new one."""
        if self._tasks is None:
            return
        task = self._asking.get(agent)
        if task is None:
            task = self._asking[agent] = self._tasks.create_task(
                self._ask(agent), name=f"integration:{agent}"
            )
            task.add_done_callback(lambda _: self._asking.pop(agent, None))
        await asyncio.wait((task,))

    async def _ask(self, agent: str) -> None:
        before = self._known.get(agent)
        try:
            answer = await ask(self._endpoints[agent], self._client)
        except DiscoverFailed as failed:
            kept = None if before is None else before.answer
            self._known[agent] = _Known(kept, self._clock() + RETRY)
            used = "the last answer" if kept is not None else "the agent's profile"
            advice = f"{used} is used instead; `blackbox-relay doctor` asks the vendor anew"
            log.warning("discover_failed", agent=agent, cause=failed.cause, advice=advice)
        else:
            self._known[agent] = _Known(answer, self._clock() + FRESH)


def _holds(value: object, secret: str) -> bool:
    """Tell whether any text of a JSON value holds a secret, whatever its escapes were."""
    if isinstance(value, dict):
        return any(_holds(key, secret) or _holds(each, secret) for key, each in value.items())
    if isinstance(value, list):
        return any(_holds(each, secret) for each in value)
    return isinstance(value, str) and secret in value
