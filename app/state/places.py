"""Places for upstream sessions, bounded over all replicas, and the queue before them: the rules.

Pure: the time is an argument. `MemoryState` uses `PlaceTable` as it is; the script `PLACES` of
`app.state.scripts` does the same in Redis.

An entry is a session's id. It holds a place, waits with a number, or is neither. Waiters are
served by number. Holders and waiters have leases that their replica renews by naming them again;
a replica that dies frees its places when its leases have run out.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# How many places one synchronization gives away, and how many entries a replica names in one.
MAX_PROMOTED: Final = 64
MAX_ENTRIES: Final = 200
# Seconds. Owners renew every second, so a replica that is late by this much is taken for dead.
PLACE_LEASE: Final = 10.0
PLACE_GUARD: Final = 3.0
TURN_TTL: Final = 60.0


@dataclass(frozen=True, slots=True)
class PlaceBounds:
    """How many places there are, and how many entries may wait for one.

    `limit` None: as published (`PlaceChanges.publish`), without a bound until then.
    """

    limit: int | None
    queue: int


@dataclass(frozen=True, slots=True)
class Waiter:
    """An entry of the queue: its `number`, 0 where none is known yet.

    `turn` is the hash of a token under which an earlier entry's number was kept.
    """

    id: str
    number: int = 0
    turn: str = ""


@dataclass(frozen=True, slots=True)
class PlaceChanges:
    """What a replica knows anew, carried out in this order.

    `release` frees what an entry holds and ends its waiting. `keep` keeps numbers under the hash
    of a token (`Waiter.turn`) for `TURN_TTL` seconds. `hold` renews places, also ones that the
    store has forgotten. `wait` renews waiters, or enters new ones.
    `poll` is how many seconds lie between two looks at the vendor's own figures; 0: none.
    `publish` is the limit that such a look has found. `beaten` says that this replica has
    synchronized before. `wake` is what a replica's inbox is told when one of its entries has been
    given a place.
    """

    release: Sequence[str] = ()
    keep: Sequence[Waiter] = ()
    hold: Sequence[str] = ()
    wait: Sequence[Waiter] = ()
    poll: float = 0.0
    publish: int | None = None
    beaten: bool = False
    wake: bytes = b""


class Standing(StrEnum):
    """What an entry that was named in `wait` is now."""

    HELD = "held"
    WAITING = "waiting"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class PlaceStatus:
    """An entry's standing; `position` counts from 1 and is 0 for one that does not wait."""

    standing: Standing
    number: int = 0
    position: int = 0


@dataclass(frozen=True, slots=True)
class PlaceReport:
    """What came of it. `held` and `waiting` count the entries of all replicas.

    `limit` is the bound in force, None without one; `poll` asks this replica to look at the
    vendor's figures.
    """

    statuses: Mapping[str, PlaceStatus]
    held: int
    waiting: int
    limit: int | None
    poll: bool = False


class PlaceTable:
    """Places and the queue before them, with leases of `lease` seconds.

    `guard`: after a silence of all replicas for so many seconds, no lease runs out and
    no place is given away for as long again, so that live owners can name theirs first.
    """

    def __init__(self, lease: float, guard: float) -> None:
        self._lease = lease
        self._guard = guard
        self._held: dict[str, float] = {}
        self._queue: dict[str, int] = {}
        self._leases: dict[str, float] = {}
        self._turns: dict[str, tuple[int, float]] = {}
        self._counter = 0
        self._last: float | None = None
        self._guarded_until = 0.0
        self._limit: int | None = None
        self._polled_until = 0.0
        self.given: set[str] = set()  # what the last synchronization has given places to

    def synchronize(self, bounds: PlaceBounds, changes: PlaceChanges, now: float) -> PlaceReport:
        """Carry out a replica's changes, and give free places to those that waited longest."""
        self.given.clear()
        guarded = self._is_guarded(changes, now)
        if changes.publish is not None:
            self._limit = changes.publish
        limit = self._limit if bounds.limit is None else bounds.limit
        if not guarded:
            self._expire(now)
        for entry in changes.release:
            self._forget(entry)
        for waiter in changes.keep:
            self._turns[waiter.turn] = (waiter.number, now + TURN_TTL)
        for entry in changes.hold:
            self._forget(entry)
            self._held[entry] = now + self._lease
        free = 0 if guarded else _unbounded(limit)
        self._promote(free, now)
        for waiter in changes.wait:
            self._enter(waiter, bounds.queue, free, now)
        self._promote(free, now)
        return PlaceReport(
            dict(self._statuses(changes.wait)),
            len(self._held),
            len(self._queue),
            limit,
            self._should_poll(changes.poll, now),
        )

    def _is_guarded(self, changes: PlaceChanges, now: float) -> bool:
        last, self._last = self._last, now
        forgotten = last is None and changes.beaten
        silent = last is not None and now - last > self._guard and bool(self._held or self._queue)
        if forgotten or silent:
            self._guarded_until = now + self._guard
        return now < self._guarded_until

    def _expire(self, now: float) -> None:
        self._held = {entry: end for entry, end in self._held.items() if end >= now}
        for entry in [entry for entry, end in self._leases.items() if end < now]:
            self._forget(entry)
        self._turns = {turn: kept for turn, kept in self._turns.items() if kept[1] >= now}

    def _forget(self, entry: str) -> None:
        self._held.pop(entry, None)
        self._queue.pop(entry, None)
        self._leases.pop(entry, None)

    def _enter(self, waiter: Waiter, queue: int, limit: float, now: float) -> None:
        end = now + self._lease
        if waiter.id in self._held:
            self._held[waiter.id] = end
            return
        if waiter.id not in self._queue:
            number = waiter.number or self._turns.pop(waiter.turn, (0, 0.0))[0]
            if not number:
                straight = not self._queue and len(self._held) < limit
                if not straight and len(self._queue) >= queue:
                    return
                # By the clock, so that order outlives the store's memory.
                number = max(self._counter + 1, int(now * 1000))
            self._counter = max(self._counter, number)
            self._queue[waiter.id] = number
        self._leases[waiter.id] = end
        if len(self._held) < limit and self._first() == waiter.id:
            self._give(waiter.id, now)

    def _promote(self, limit: float, now: float) -> None:
        for _ in range(MAX_PROMOTED):
            if not self._queue or len(self._held) >= limit:
                return
            self._give(self._first(), now)

    def _give(self, entry: str, now: float) -> None:
        self._forget(entry)
        self._held[entry] = now + self._lease
        self.given.add(entry)

    def _first(self) -> str:
        return min(self._queue, key=lambda entry: (self._queue[entry], entry))

    def _statuses(self, waiters: Sequence[Waiter]) -> Iterator[tuple[str, PlaceStatus]]:
        order = sorted(self._queue, key=lambda entry: (self._queue[entry], entry))
        positions = {entry: place for place, entry in enumerate(order, 1)}
        for waiter in waiters:
            if waiter.id in self._held:
                yield waiter.id, PlaceStatus(Standing.HELD)
            elif waiter.id in self._queue:
                number = self._queue[waiter.id]
                status = PlaceStatus(Standing.WAITING, number, positions[waiter.id])
                yield waiter.id, status
            else:
                yield waiter.id, PlaceStatus(Standing.REFUSED)

    def _should_poll(self, interval: float, now: float) -> bool:
        if interval <= 0 or now < self._polled_until:
            return False
        self._polled_until = now + interval
        return True


def _unbounded(limit: int | None) -> float:
    return float("inf") if limit is None else limit
