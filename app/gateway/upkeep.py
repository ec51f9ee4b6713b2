"""What a replica does beside its sessions: renew their leases, end revoked ones, watch the loop."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import TYPE_CHECKING, Final

import structlog

from app.protocol.close_codes import UNAUTHENTICATED
from app.protocol.errors import StoreUnavailable
from app.protocol.tenant import revocation_names

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from app.gateway.live_sessions import LiveSessions
    from app.state.interface import State
    from app.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)

HEARTBEAT: Final = 2.0
BEATS_PER_REFRESH: Final = 2
LAG_TICK: Final = 0.25


class Upkeep:
    """Looks after the sessions of one replica. `account` reports what tenants use."""

    def __init__(
        self,
        state: State,
        live: LiveSessions,
        metrics: Metrics,
        account: Callable[[], Awaitable[None]],
    ) -> None:
        self._state = state
        self._live = live
        self._metrics = metrics
        self._account = account

    async def keep_leases(self) -> None:
        """Renew leases, and end sessions whose credential was revoked on any replica."""
        for beat in count():
            try:
                if beat % BEATS_PER_REFRESH == 0:
                    await self._state.refresh(self._live.rows())
                await self._end_revoked()
                await self._account()
            except StoreUnavailable:
                log.warning("state_lost", advice="live sessions go on; check RELAY_STATE_URL")
            await asyncio.sleep(HEARTBEAT)

    async def _end_revoked(self) -> None:
        held = {name for row in self._live.registered.values() for name in row.revocation_names}
        joined = [
            (pages, credential, revocation_names(credential, relay.conversation.profile.tenant))
            for relay in self._live.relays.values()
            if (pages := relay.pages) is not None
            for credential in pages.credentials()
        ]
        held.update(*(names for _, _, names in joined))
        revoked = await self._state.revoked(held) if held else frozenset()
        if revoked:
            for pages, credential, names in joined:
                if not revoked.isdisjoint(names):
                    pages.cut_revoked({credential})
            for session_id, row in tuple(self._live.registered.items()):
                if not revoked.isdisjoint(row.revocation_names):
                    self._live.relays[session_id].end(
                        UNAUTHENTICATED, "The credential was revoked."
                    )

    async def watch_lag(self) -> None:
        """Measure how late the event loop is."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_TICK
            await asyncio.sleep(LAG_TICK)
            self._metrics.loop_lag_seconds.set(max(0.0, loop.time() - due))
