"""A replica's heartbeat key with its TTL, and whether the store may have lost its data.

A mark of life lasts a second or two. A second mark, the marker, outlasts any outage: if it is
gone, the store has lost its data, and nothing that is missing there proves anything until the
other replicas have reported again.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

import structlog

from app.protocol.errors import StateReadOnly, StoreUnavailable
from app.state.redis_client import ScriptCall, milliseconds
from app.state.scripts import BEAT

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.state.keys import Keys
    from app.state.redis_client import RedisClient

log = structlog.get_logger(__name__)

ON: Final = b"on"
PRIMARY: Final = (
    "Redis answers as a replica that takes no writes: RELAY_STATE_URL must lead to the primary, "
    "or name its Sentinels (redis+sentinel://)"
)
_MARKER_EXPIRY: Final = 24 * 3600.0


class Heartbeat:
    """One replica's heartbeat: each lasts `alive` seconds.

    The store is suspect for `refill` seconds.

    `read_only` says that the last beat was refused as by a replica of Redis; `advice` what was
    wrong with the store then, where that is known.
    """

    def __init__(
        self,
        store: RedisClient,
        keys: Keys,
        replica: str,
        *,
        alive: float,
        refill: float,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._mark = keys.replica(replica)
        self._marker = keys.marker(replica)
        self._alive = milliseconds(alive)
        self._refill = refill
        self._clock = clock
        self._off = f"off:{secrets.token_hex(8)}"
        self._started = False
        self._doubt_until = 0.0
        self.marked = False
        self.read_only = False
        self.advice: str | None = None

    async def renew(self) -> bool:
        """Show that this replica lives; False, and doubt from now on, if the store is away."""
        self._started = True
        remembered = milliseconds(_MARKER_EXPIRY)
        try:
            beat = ScriptCall(BEAT, (self._mark,), (self._off, self._alive))
            known = ("PEXPIRE", self._marker, remembered)
            if not (await self._store.run("beat", [beat, known]))[1]:
                if self.marked:
                    log.warning("state_forgotten")
                    self._doubt_until = self._clock() + self._refill
                # Only now: a replica that sees the new marker must see the store as suspect, too.
                await self._store.call("beat", "SET", self._marker, b"1", "PX", remembered)
        except StoreUnavailable as lost:
            if self._clock() >= self._doubt_until:
                told = {} if lost.advice is None else {"advice": lost.advice}
                log.warning("state_lost", **told)
            self.advice = lost.advice
            read_only = isinstance(lost, StateReadOnly)
            if read_only and not self.read_only:
                log.warning("state_read_only", advice=PRIMARY)
            self.read_only = read_only
            self._doubt_until = self._clock() + self._refill
            return False
        self.marked = True
        self.read_only = False
        self.advice = None
        return True

    async def deregister(self) -> None:
        """Count as dead at once for the others, whatever heartbeat is still on its way."""
        if self._started:
            try:
                await self._store.call("close", "SET", self._mark, self._off, "PX", self._alive)
            except StoreUnavailable:
                log.info("state_lost_at_close")

    def is_suspect(self, marked: bool, marker: bytes | None) -> bool:
        """Say whether what is missing may soon be there again.

        `marked` is what it was before the store was asked, `marker` what the store said.
        """
        return marked and (marker is None or self.is_doubtful())

    def is_doubtful(self) -> bool:
        """Say whether the store was away, or had forgotten its data, so recently."""
        return self._clock() < self._doubt_until
