"""Drain order of a replica: idle chats end first, calls last."""

from __future__ import annotations

import asyncio
from time import time
from typing import TYPE_CHECKING

import structlog

from app.backoff import reconnect_after
from app.protocol import frames
from app.protocol.close_codes import DRAINING
from app.protocol.principal import CallType

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from app.gateway.admission import GatewayLimits
    from app.relay.relay import Relay
    from app.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)


class Draining:
    """Ends the sessions of one replica, once: idle chats first, calls last.

    `live` is the gateway's own, by session id; `end_grace` (seconds) is how long one hang-up may
    take. `began` is set from the start, `closed` once no new session is taken any more.
    """

    def __init__(
        self,
        live: Mapping[str, Relay],
        limits: GatewayLimits,
        end_grace: float,
        metrics: Metrics,
    ) -> None:
        self.began = False
        self.closed = False
        self._live = live
        self._limits = limits
        self._end_grace = end_grace
        self._metrics = metrics
        self._until = 0.0
        self._expedited = asyncio.Event()
        self._empty = asyncio.Event()

    def session_started(self) -> None:
        """Take note that a session has begun: one that was admitted before may do so late."""
        self._empty.clear()

    def session_ended(self) -> None:
        """Take note that a session has ended."""
        if not self._live:
            self._empty.set()

    def expedite(self) -> None:
        """Shorten a drain that is under way: end what is left now."""
        self._expedited.set()

    async def run(self, closed: Callable[[], None]) -> None:
        """Let live sessions end, then end them: idle chats first, calls last.

        `closed` is called once no new session is taken any more.
        """
        self.began = True
        self._metrics.draining.set(1)
        log.info("draining", sessions=len(self._live), delay=self._limits.drain_delay)
        self._until = time() + self._limits.drain_delay + self._limits.drain_timeout
        told = frozenset(self._live)
        for relay in self._live.values():
            self.notify(relay)
        await self._pause(self._limits.drain_delay)
        self.closed = True
        closed()
        for session_id, relay in self._live.items():
            if session_id not in told:
                self.notify(relay)
            if relay.queue.is_waiting:  # it can wait elsewhere, at the same position
                relay.end(DRAINING, retry_after=reconnect_after())
        if self._live:
            self._empty.clear()
            await self._pause(self._limits.drain_timeout / 2, until_empty=True)
            self._end_idle()
            await self._pause(self._limits.drain_timeout / 2, until_empty=True)
        for relay in tuple(self._live.values()):
            relay.end(DRAINING, retry_after=reconnect_after())
            relay.stop_waiting_for_browser()
        self._expedited.clear()
        if self._live:
            await self._pause(3 * self._end_grace, until_empty=True)
        log.info("drained", sessions=len(self._live))

    def notify(self, relay: Relay) -> None:
        """Let a browser know until when its conversation may go on here."""
        relay.announce(frames.draining(time(), self._until))

    def _end_idle(self) -> None:
        """End idle chats at half time: they can start anew on another replica."""
        silence = min(30.0, self._limits.drain_timeout / 4)
        for relay in tuple(self._live.values()):
            quiet = relay.idle_for >= silence and relay.tools_running == 0
            if relay.call_type is CallType.CHAT and quiet:
                relay.end(DRAINING, retry_after=reconnect_after())

    async def _pause(self, seconds: float, *, until_empty: bool = False) -> None:
        """Wait, but no longer than until the last session has ended or `expedite` was called."""
        if self._expedited.is_set() or seconds <= 0:
            return
        events = [self._expedited, self._empty] if until_empty else [self._expedited]
        async with asyncio.TaskGroup() as group:
            waits = [group.create_task(event.wait(), name="drain:pause") for event in events]
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()
