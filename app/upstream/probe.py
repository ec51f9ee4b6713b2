"""Probes the vendor's `GET /api/v1/ws/info` (D) at an interval: a fact for operators.

It decides nothing. Were a replica unready because of this page, all replicas would leave the
balancer together, with conversations that work: whether the vendor can be dialled is the circuit's
to say, which hears of real conversations.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Final

import httpx
import structlog

from app.backoff import between
from app.egress.addresses import EgressRefused
from app.egress.answers import AnswerRefused, json_of, read_bounded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

log = structlog.get_logger(__name__)

INFO: Final = "/api/v1/ws/info"
DEADLINE: Final = 5.0
"""Seconds that one look may take, whatever the network does."""

MAX_ANSWER: Final = 64 << 10
WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.-]{0,63}")
UNSAID: Final = "unsaid"


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What was seen at `at`, in monotonic seconds.

    `status` is the vendor's own word where it answered as documented; else what stood in the way:
    `timeout`, `unreachable`, `refused` (an address that is not allowed), `not_understood`, or
    `http_` and the status.
    """

    reachable: bool
    status: str
    at: float


class UpstreamProbe:
    """Looks at every vendor host of `bases`, one after the other, every `interval` seconds.

    `seen` is the last round's outcome, the worst of all hosts; None before the first. `on_seen` is
    called with whether all could be reached. The client is closed when `run` ends.
    """

    def __init__(
        self,
        bases: Sequence[str],
        client: httpx.AsyncClient,
        interval: float,
        *,
        on_seen: Callable[[bool], None],
        deadline: float = DEADLINE,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.seen: ProbeResult | None = None
        self._urls = tuple(base.replace("ws", "http", 1).rstrip("/") + INFO for base in bases)
        self._client = client
        self._interval = interval
        self._on_seen = on_seen
        self._deadline = deadline
        self._clock = clock

    @property
    def age(self) -> float | None:
        """Seconds since the last look; None before the first."""
        return None if self.seen is None else max(0.0, self._clock() - self.seen.at)

    async def run(self) -> None:
        """Look until cancelled; never two looks at once, and no fault of the vendor's raises."""
        async with self._client:
            while True:
                await self._round()
                await asyncio.sleep(between(0.9 * self._interval, 1.1 * self._interval))

    async def _round(self) -> None:
        before = self.seen
        sights = [await self._look(url) for url in self._urls]
        self.seen = min(sights, key=lambda sight: sight.reachable)
        self._on_seen(self.seen.reachable)
        if before is None or before.reachable != self.seen.reachable:
            tell = log.info if self.seen.reachable else log.warning
            event = "upstream_reachable" if self.seen.reachable else "upstream_unreachable"
            tell(event, status=self.seen.status)

    async def _look(self, url: str) -> ProbeResult:
        try:
            async with (
                asyncio.timeout(self._deadline),
                self._client.stream("GET", url) as response,
            ):
                body = await read_bounded(response, MAX_ANSWER)
                answered = response.status_code
        except (TimeoutError, httpx.TimeoutException):
            return self._sight("timeout")
        except EgressRefused:
            return self._sight("refused")
        except AnswerRefused:
            return self._sight("not_understood")
        except httpx.HTTPError:
            return self._sight("unreachable")
        if answered != httpx.codes.OK:
            return self._sight(f"http_{answered}")
        try:
            said = json_of(body)
        except AnswerRefused:
            return self._sight("not_understood")
        if not isinstance(said, dict):
            return self._sight("not_understood")
        status = said.get("status")
        word = status if isinstance(status, str) and WORD.fullmatch(status) else UNSAID
        return self._sight(word, reachable=True)

    def _sight(self, status: str, *, reachable: bool = False) -> ProbeResult:
        return ProbeResult(reachable, status, self._clock())
