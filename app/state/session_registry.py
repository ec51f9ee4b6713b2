"""Live sessions in Redis: entering under caps, leaving, publishing what has changed.

Between its start and its end a session costs what changes of it. After a failover its owner looks
for all its sessions (`app.state.primaries`); else for `VERIFIED_PER_AUDIT` in each audit.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, fields, replace
from operator import attrgetter
from typing import TYPE_CHECKING, Final

import structlog

from app.protocol.errors import StoreUnavailable
from app.state.interface import SessionRow
from app.state.primaries import Primaries
from app.state.registration import FORCED, Registration, Registrations, pairs
from app.state.removals import Removals
from app.state.row_codec import decode_row, owner_of
from app.state.verification import Verification

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.state.interface import Caps
    from app.state.keys import Keys
    from app.state.owners import Owners
    from app.state.redis_client import RedisClient

    _Rows = list[tuple[Registration, SessionRow]]

log = structlog.get_logger(__name__)

# Packing a row takes some 20 µs of the event loop, on which frames wait.
ROWS_PER_TRIP: Final = 40
VERIFIED_PER_AUDIT: Final = 25
LOOKS_PER_LEASE: Final = 4
MAX_OWED: Final = 10_000
RENEWAL: Final = 6 * 3600.0
"""Seconds after which a registration is written again, long before it expires."""

_lasting: Final = attrgetter(
    *(field.name for field in fields(SessionRow) if field.name != "seconds")
)
"""What is published of a row, without what passes by itself."""


@dataclass(slots=True)
class _Published:
    """A session that is registered, what was published of it, and when (monotonic).

    `facts` is None while commands are under way that may come late, or if parts are missing.
    """

    held: Registration
    facts: tuple[object, ...] | None = None
    at: float = 0.0


class SessionRegistry:
    """The sessions of one replica as the store knows them, and every other's."""

    def __init__(
        self,
        store: RedisClient,
        keys: Keys,
        owners: Owners,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._keys = keys
        self._owners = owners
        self._clock = clock
        self._make = Registrations(keys)
        self._primaries = Primaries(store)
        self._verification = Verification(store, keys)
        self.removals = Removals(store, keys, clock)
        self._published: dict[str, _Published] = {}
        self._owed: dict[str, Registration] = {}
        self._refreshing = 0
        self._left: set[str] = set()

    async def enter(self, row: SessionRow, caps: Caps) -> str | None:
        """Register a session unless its credential is revoked or a cap is full."""
        await self._owners.join("enter")
        await self._primaries.know()
        held = self._make.of(row, self._owners.me)
        self._published[row.id] = published = _Published(held)
        self.removals.registered(row.id)
        try:
            refused = await self._reserve(held, row, (caps.per_subject, caps.per_address))
            if refused is None:
                await self._store.run("enter", [self._make.put_row(held, row)])
                published.facts, published.at = _lasting(row), self._clock()
            else:
                self._published.pop(row.id, None)
                await self.removals.remove([held], "enter")
        except (StoreUnavailable, asyncio.CancelledError):
            self._published.pop(row.id, None)
            self._owe(held)
            raise
        return refused

    async def refresh(self, rows: Sequence[SessionRow]) -> None:
        """Publish what has changed, `ROWS_PER_TRIP` rows in a trip; register what was lost.

        Rows of which nothing has changed cost nothing.
        """
        self._refreshing += 1
        try:
            if rows and self._owners.is_due:
                await self._owners.confirm("refresh")
            if self._owners.was_forgotten():
                self._verification.suspect(self._published)
            for start in range(0, len(rows), ROWS_PER_TRIP):
                await self._refresh(rows[start : start + ROWS_PER_TRIP])
        finally:
            self._refreshing -= 1
            if not self._refreshing:
                self._left.clear()

    async def leave(self, row: SessionRow) -> None:
        """Forget a session, of whatever owner. If this fails, the store is told later."""
        if self._refreshing:
            self._left.add(row.id)
        published = self._published.pop(row.id, None)
        self._verification.forget(row.id)
        held = self._make.of(row, self._owners.me) if published is None else published.held
        try:
            if published is None:
                payload = await self._store.call("leave", "GET", self._keys.row(row.id))
                owner = None if payload is None else owner_of(payload)
                held = held if owner is None else replace(held, owner=owner)
            uncertain = published is None or published.facts is None
            await self.removals.remove([held], "leave", mark=uncertain)
        except (StoreUnavailable, asyncio.CancelledError):
            self._owe(held)
            raise

    async def find(self, session_id: str) -> SessionRow | None:
        """Look a session up; None also if its owner is dead. Raises `StoreUnavailable`."""
        payload = await self._store.call("find", "GET", self._keys.row(session_id))
        if payload is None:
            return None
        owner = owner_of(payload)
        if owner is not None and owner != self._owners.me:
            await self._owners.join("find")
            if await self._owners.dead_among("find", (owner,)):
                return None
        return decode_row(payload)

    async def settle(self) -> None:
        """Undo what could not be undone before, as far as the store answers."""
        while self._owed:
            some = list(self._owed.values())[:ROWS_PER_TRIP]
            try:
                await self.removals.remove(some, "debts", mark=True)
            except StoreUnavailable:
                return
            for held in some:
                self._owed.pop(held.id, None)

    async def look(self) -> None:
        """After a failover: suspect all sessions, and repeat the latest removals.

        Raises `StoreUnavailable`; what was not repeated is repeated by the next look.
        """
        if await self._primaries.have_changed():
            self._verification.suspect(self._published)
            removals = self.removals.suspect()
            log.warning("store_failover", sessions=len(self._published), removals=removals)
        await self.removals.repeat(self._published)

    async def audit(self) -> None:
        """Remove what this owner has noted of sessions that it does not have.

        Where it has noted as many as it has, nothing is looked at: a missing note is found by the
        row that is missing, too.
        """
        owner, cursor = self._owners.me, 0
        self._verification.suspect_some(self._published, VERIFIED_PER_AUDIT)
        if await self._store.call("audit", "HLEN", self._keys.held(owner)) == len(self._published):
            return
        while True:
            name = self._keys.held(owner)
            reply = await self._store.call("audit", "HSCAN", name, cursor, "COUNT", ROWS_PER_TRIP)
            cursor = int(reply[0])
            noted = (self._make.noted(name, owner, note) for name, note in pairs(reply[1]))
            stray = [held for held in noted if held.id not in self._published]
            if stray:
                log.info("sessions_released", count=len(stray), cause="not_held")
                await self.removals.remove(stray, "audit", mark=True)
            if not cursor:
                return

    async def _reserve(
        self, held: Registration, row: SessionRow, bounds: tuple[int, int]
    ) -> str | None:
        """Take a place of each cap; None, or why not. Raises `StoreUnavailable`."""
        make = self._make
        reserving = [
            make.reserve(held, cap, most) for cap, most in zip(held.caps, bounds, strict=True)
        ]
        revoked = [("EXISTS", self._keys.revoked(name)) for name in row.revocation_names]
        _, *full = await self._store.run(
            "enter", [make.note(held), *reserving, *revoked], first_alone=True
        )
        if any(full[2:]):
            return "revoked"
        for at, (name, cap) in enumerate(zip(("subject", "address"), held.caps, strict=True)):
            if full[at] is not None:
                present = [owner.decode() for owner in full[at] if owner]
                if not await self._drop_dead(cap, present):
                    return name
                if (await self._store.run("enter", [reserving[at]]))[0] is not None:
                    return name
        return None

    async def _drop_dead(self, cap: str, owners: Sequence[str]) -> bool:
        """Free the places of a cap that dead owners hold; say whether there were any."""
        others = [owner for owner in owners if owner != self._owners.me]
        dead = await self._owners.dead_among("enter", others)
        if dead:
            await self._store.run("enter", [self._make.drop(cap, sorted(dead))])
        return bool(dead)

    async def _refresh(self, rows: Sequence[SessionRow]) -> None:
        await self._verify(rows)
        anew, changed = self._unpublished(rows)
        if anew or changed:
            await self._owners.confirm("refresh")  # and be another one if the others say so
            await self._primaries.know()
            anew, changed = self._unpublished(rows)
            await self._register(anew, changed)
        # A session that left while its refresh was on the way must not come back by it.
        for row in rows:
            if row.id in self._left:
                await self.leave(row)

    async def _verify(self, rows: Sequence[SessionRow]) -> None:
        """Find rows that are suspected and of which a part is missing: they are published anew."""
        suspects = [
            published.held
            for row in rows
            if self._verification.is_suspect(row.id)
            and (published := self._published.get(row.id)) is not None
            and published.facts is not None
            and published.held.owner == self._owners.me
        ]
        for session_id in await self._verification.incomplete(suspects):
            published = self._published.get(session_id)
            if published is not None:
                published.facts = None

    def _unpublished(self, rows: Sequence[SessionRow]) -> tuple[_Rows, _Rows]:
        """The rows that must be registered anew, and those that have changed."""
        owner, now = self._owners.me, self._clock()
        anew: _Rows = []
        changed: _Rows = []
        for row in rows:
            if row.id in self._left:
                continue
            published = self._published.get(row.id)
            if published is None or published.held.owner != owner or published.facts is None:
                anew.append((self._make.of(row, owner), row))
            elif now - published.at > RENEWAL:
                anew.append((published.held, row))
            elif published.facts != _lasting(row):
                changed.append((published.held, row))
        return anew, changed

    async def _register(self, anew: _Rows, changed: _Rows) -> None:
        make, commands, notes = self._make, [], []
        for held, row in (*anew, *changed):
            # An audit must not take its note for a stray, and `leave` know that it is uncertain.
            self._published[row.id] = _Published(held)
        for held, row in anew:
            self.removals.registered(held.id)
            notes.append(make.note(held))
            commands += [make.reserve(held, cap, FORCED) for cap in held.caps]
            commands.append(make.put_row(held, row))
        commands += [make.put_row(held, row) for held, row in changed]
        if not commands:
            return
        if notes:
            await self._store.run("refresh", notes)
        await self._store.run("refresh", commands)
        for held, row in (*anew, *changed):
            if row.id not in self._left:
                self._published[row.id] = _Published(held, _lasting(row), self._clock())

    def _owe(self, held: Registration) -> None:
        if len(self._owed) >= MAX_OWED:
            log.warning("state_debt_dropped")
            return
        self._owed[held.id] = held
