"""Live sessions in Redis: entering under caps, leaving, publishing what has changed.

What a session costs the store between its start and its end is what changes of it, and one `EXISTS`
now and then, by which an owner finds what a failover has lost: of `ROWS_PER_TRIP` sessions in each
refresh.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import structlog

from app.protocol.errors import StoreUnavailable
from app.state.registration import FORCED, Registration, Registrations
from app.state.row_codec import decode_row, owner_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.state.interface import Caps, SessionRow
    from app.state.keys import Keys
    from app.state.owners import Owners
    from app.state.redis_client import RedisClient

log = structlog.get_logger(__name__)

# Packing a row takes some 20 µs of the event loop, on which frames wait.
ROWS_PER_TRIP: Final = 100
MAX_OWED: Final = 10_000
RENEWAL: Final = 6 * 3600.0
"""Seconds after which a registration is written again, long before it expires."""


@dataclass(slots=True)
class _Published:
    """A session that is registered, its row without what passes by itself, and when (monotonic).

    `row` is None while commands are under way that may come late.
    """

    held: Registration
    row: SessionRow | None = None
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
        self._published: dict[str, _Published] = {}
        self._owed: dict[str, Registration] = {}
        self._refreshing = 0
        self._left: set[str] = set()
        self._turn = 0

    async def enter(self, row: SessionRow, caps: Caps) -> str | None:
        """Register a session unless its credential is revoked or a cap is full."""
        await self._owners.join("enter")
        held = self._make.of(row, self._owners.me)
        self._published[row.id] = published = _Published(held)
        try:
            refused = await self._reserve(held, row, (caps.per_subject, caps.per_address))
            if refused is None:
                await self._store.run("enter", [self._make.put_row(held, row)])
                published.row, published.at = _lasting(row), self._clock()
            else:
                self._published.pop(row.id, None)
                await self._remove([held], "enter")
        except (StoreUnavailable, asyncio.CancelledError):
            self._published.pop(row.id, None)
            self._owe(held)
            raise
        return refused

    async def refresh(self, rows: Sequence[SessionRow]) -> None:
        """Publish what has changed, `ROWS_PER_TRIP` rows in a trip; register what was forgotten."""
        if not rows:
            return
        self._refreshing += 1
        try:
            await self._owners.confirm("refresh")
            self._turn += 1
            starts = range(0, len(rows), ROWS_PER_TRIP)
            for number, start in enumerate(starts):
                some = [r for r in rows[start : start + ROWS_PER_TRIP] if r.id not in self._left]
                await self._refresh(some, verify=number == self._turn % len(starts))
        finally:
            self._refreshing -= 1
            if not self._refreshing:
                self._left.clear()

    async def leave(self, row: SessionRow) -> None:
        """Forget a session, of whatever owner. If this fails, the store is told later."""
        if self._refreshing:
            self._left.add(row.id)
        published = self._published.pop(row.id, None)
        held = self._make.of(row, self._owners.me) if published is None else published.held
        try:
            if published is None:
                payload = await self._store.call("leave", "GET", self._keys.row(row.id))
                owner = None if payload is None else owner_of(payload)
                held = held if owner is None else replace(held, owner=owner)
            # A command that was lost may still be on its way.
            uncertain = published is None or published.row is None
            await self._remove([held], "leave", mark=uncertain)
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
                await self._remove(some, "debts", mark=True)
            except StoreUnavailable:
                return
            for held in some:
                self._owed.pop(held.id, None)

    async def audit(self) -> None:
        """Remove what this owner has noted of sessions that it does not have.

        Where it has noted as many as it has, nothing is looked at: a missing note is found by the
        row that is missing, too.
        """
        owner, cursor = self._owners.me, 0
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
                await self._remove(stray, "audit", mark=True)
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

    async def _refresh(self, rows: Sequence[SessionRow], *, verify: bool) -> None:
        owner, now = self._owners.me, self._clock()
        anew: list[tuple[Registration, SessionRow]] = []
        changed: list[tuple[Registration, SessionRow]] = []
        verified: list[tuple[Registration, SessionRow]] = []
        for row in rows:
            published = self._published.get(row.id)
            if published is None or published.held.owner != owner or published.row is None:
                anew.append((self._make.of(row, owner), row))
            elif now - published.at > RENEWAL:
                anew.append((published.held, row))
            elif published.row != _lasting(row):
                changed.append((published.held, row))
            elif verify:
                verified.append((published.held, row))
        if verified:
            names = [("EXISTS", self._keys.row(row.id)) for _, row in verified]
            found = await self._store.run("refresh", names)
            anew += [pair for pair, there in zip(verified, found, strict=True) if not there]
        await self._register(anew, changed)
        # A session that left while its refresh was on the way must not come back by it.
        for row in rows:
            if row.id in self._left:
                await self.leave(row)

    async def _register(
        self,
        anew: Sequence[tuple[Registration, SessionRow]],
        changed: Sequence[tuple[Registration, SessionRow]],
    ) -> None:
        make, commands, notes = self._make, [], []
        for held, row in (*anew, *changed):
            # An audit must not take its note for a stray, and `leave` know that it is uncertain.
            self._published[row.id] = _Published(held)
        for held, row in anew:
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

    async def _remove(
        self, gone: Sequence[Registration], operation: str, *, mark: bool = False
    ) -> None:
        calls = [call for held in gone for call in self._make.removal(held, mark=mark)]
        await self._store.run(operation, calls)
        await self._store.run(operation, self._make.forget(gone))

    def _owe(self, held: Registration) -> None:
        if len(self._owed) >= MAX_OWED:
            log.warning("state_debt_dropped")
            return
        self._owed[held.id] = held


def pairs(fields: Any) -> list[tuple[bytes, bytes]]:
    """Fields and values of a scanned hash, as redis-py gives them."""
    if isinstance(fields, dict):
        return list(fields.items())
    return list(zip(fields[::2], fields[1::2], strict=True))


def _lasting(row: SessionRow) -> SessionRow:
    """A row without what changes while nothing happens."""
    return replace(row, seconds=0.0)
