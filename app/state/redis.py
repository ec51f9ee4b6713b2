"""The port on Redis (6.2 or later) or Valkey: what replicas share survives any of them."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from app.protocol.errors import StateReadOnly, StoreUnavailable
from app.state.command_stream import CommandStream
from app.state.connector import Connector
from app.state.heartbeat import ON, Heartbeat
from app.state.interface import Caps, Journal, Page, SessionRow, State
from app.state.keys import Keys
from app.state.places import PLACE_GUARD, PLACE_LEASE
from app.state.redis_client import RedisClient, milliseconds
from app.state.redis_idempotency import RedisRequests
from app.state.redis_journal import RedisJournal
from app.state.redis_ledger import RedisLedger
from app.state.redis_places import RedisPlaces
from app.state.redis_records import RedisRecords
from app.state.retry_queue import RetryQueue
from app.state.row_codec import decode_row, encode_row
from app.state.row_filter import MAX_SCANNED, SCAN
from app.state.scripts import ENTER, GIVE_BACK, PAGE, PAGE_OF_LEASES, REFRESH, TAKE, TELL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Sequence

    from app.state.idempotency import Requests
    from app.state.places import PlaceBounds, PlaceChanges, PlaceReport
    from app.state.records import Records
    from app.state.redis_client import Command
    from app.state.row_filter import RowFilter
    from app.state.tenant_ledger import TenantLedger

# Packing a row takes some 20 µs of the event loop, on which frames wait.
ROWS_PER_TRIP: Final = 100
KEYS_PER_TRIP: Final = 1_000
MAX_PAGE: Final = 1_000
MAX_INBOX: Final = 1_000
_INBOX_EXPIRY: Final = 60.0
_GIVEN_UP_EXPIRY: Final = 330.0  # longer than any ticket lives


@dataclass(frozen=True, slots=True)
class Timings:
    """How long things take, in seconds.

    `timeout` is how long the store may be silent while a call is with it. A session that its
    owner has not refreshed for `lease` is gone. A replica that has not beaten for `alive` is
    dead; it beats every third of that. `refill` is how long after an outage a missing row
    proves nothing: longer than owners take to refresh theirs. `place_lease` and `place_guard`
    are those of `PlaceTable`.
    """

    timeout: float = 0.4
    lease: float = 15.0
    alive: float = 1.5
    refill: float = 7.0
    place_lease: float = PLACE_LEASE
    place_guard: float = PLACE_GUARD


class RedisState(State):
    """What replicas share, in Redis.

    `url` is `redis://`, `rediss://` (TLS), `unix://` or, by way of Sentinels, `redis+sentinel://`;
    a `ValueError` says what is wrong with it. `replica` is this process's name, unique among
    those alive. Every key begins with `{prefix}:`. Caps, leases and tickets are decided in Redis,
    each in one atomic step and by its clock. A call whose answer was lost is undone as soon as
    Redis answers again, while `run` runs. All keys share a hash tag, so that a
    Redis Cluster keeps them on one slot; dial that slot's node, or a proxy: redirections are
    not followed.

    After a restart of Redis without its data, live sessions and their caps come back by their
    owners' next `refresh`; until then a cap may be exceeded, and `find` raises `StoreUnavailable`
    instead of calling a session dead. Tickets and revocations that were not on disk are lost:
    tickets fail closed, revocations do not, so run Redis with `appendonly yes`.
    """

    def __init__(
        self,
        url: str,
        replica: str,
        *,
        prefix: str = "relay",
        timings: Timings | None = None,
        connections: int = 32,
        on_error: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._replica = replica
        self._timings = timings or Timings()
        self._keys = Keys(prefix)
        self._clock = clock
        self.connector = connector = Connector(url)
        self._store = RedisClient(
            connector, timeout=self._timings.timeout, connections=connections, on_error=on_error
        )
        # Signs of life stand in no line: a crowd must not make a replica look dead, or unready.
        self._vital = RedisClient(
            connector, timeout=self._timings.timeout, connections=1, on_error=on_error
        )
        self._retries = RetryQueue(self._store, clock)
        self.records: Records = RedisRecords(self._store, self._keys, self._retries)
        self.requests: Requests = RedisRequests(self._store, self._keys)
        self.ledger: TenantLedger = RedisLedger(
            self._store, self._keys, self._retries, lease=self._timings.lease
        )
        self.journal: Journal | None = RedisJournal(self._store, self._keys, self.alive)
        self._inbox = CommandStream(
            connector, self._keys.inbox(replica), timeout=self._timings.timeout, on_error=on_error
        )
        self._places = RedisPlaces(
            self._store,
            self._keys,
            replica,
            lease=self._timings.place_lease,
            guard=self._timings.place_guard,
            inbox=(MAX_INBOX, _INBOX_EXPIRY),
        )
        self._heartbeat = Heartbeat(
            self._vital,
            self._keys,
            replica,
            alive=self._timings.alive,
            refill=self._timings.refill,
            clock=clock,
        )
        self._refreshing = 0
        self._left: set[str] = set()

    async def put_ticket(self, key: str, payload: bytes, ttl: float) -> None:
        """Keep a ticket."""
        await self._store.call(
            "put_ticket", "SET", self._keys.ticket(key), payload, "PX", milliseconds(ttl)
        )

    async def peek_ticket(self, key: str) -> bytes | None:
        """Return the payload of a ticket that is not redeemed."""
        payload: bytes | None
        payload, claim = await self._store.call(
            "peek_ticket", "MGET", self._keys.ticket(key), self._keys.claim(key)
        )
        return None if claim else payload

    async def take_ticket(self, key: str, claimant: str | None = None) -> bytes | None:
        """Redeem a ticket for one claimant. After `StoreUnavailable` it is given back."""
        claimant = claimant or secrets.token_hex(16)
        names = (self._keys.ticket(key), self._keys.claim(key), self._keys.given_up(claimant))
        try:
            payload: bytes | None = await self._store.script(
                "take_ticket", TAKE, names, (claimant,)
            )
        except (StoreUnavailable, asyncio.CancelledError):
            self.return_ticket(key, claimant)
            raise
        return payload

    def return_ticket(self, key: str, claimant: str) -> None:
        """Give a ticket back with the next beat that Redis answers."""
        names = (self._keys.claim(key), self._keys.given_up(claimant))
        expiry = milliseconds(_GIVEN_UP_EXPIRY)
        give_back = ("EVAL", GIVE_BACK.text, len(names), *names, claimant, expiry)
        self._retries.add(f"ticket {claimant}", (give_back,))

    async def enter(self, row: SessionRow, caps: Caps) -> str | None:
        """Register a session unless its credential is revoked or a cap is full."""
        keys = (*self._session_keys(row), *map(self._keys.revoked, row.revocation_names))
        lease = milliseconds(self._timings.lease)
        args = (row.id, encode_row(row), lease, caps.per_subject, caps.per_address)
        try:
            reply: bytes | None = await self._store.script("enter", ENTER, keys, args)
        except (StoreUnavailable, asyncio.CancelledError):
            self._owe_leave(row)
            raise
        return None if reply is None else reply.decode()

    async def refresh(self, rows: Sequence[SessionRow]) -> None:
        """Renew leases, `ROWS_PER_TRIP` in a round trip; what Redis forgot is registered again."""
        self._refreshing += 1
        try:
            for start in range(0, len(rows), ROWS_PER_TRIP):
                await self._refresh(
                    [r for r in rows[start : start + ROWS_PER_TRIP] if r.id not in self._left]
                )
        finally:
            self._refreshing -= 1
            if not self._refreshing:
                self._left.clear()

    async def leave(self, row: SessionRow) -> None:
        """Forget a session. If this fails, Redis is told later, or the lease frees the caps."""
        if self._refreshing:
            self._left.add(row.id)
        try:
            await self._store.batch("leave", self._leaving(row))
        except (StoreUnavailable, asyncio.CancelledError):
            self._owe_leave(row)
            raise

    async def find(self, session_id: str) -> SessionRow | None:
        """Look a session up. Raises `StoreUnavailable` while owners may still have to re-register.

        That is so for `Timings.refill` after an outage, or after Redis has lost its data.
        """
        marked = self._heartbeat.marked
        payload, marker = await self._store.call(
            "find", "MGET", self._keys.row(session_id), self._keys.marker(self._replica)
        )
        if payload is None and self._heartbeat.is_suspect(marked, marker):
            raise StoreUnavailable("find: the registry is being filled again")
        return None if payload is None else decode_row(payload)

    async def sessions(
        self,
        cursor: str | None = None,
        limit: int = 100,
        only: RowFilter | None = None,
        tenant: str | None = None,
    ) -> Page:
        """List live sessions of every replica, ordered by id, at most `MAX_PAGE` at a time.

        A page may hold fewer rows than `limit` although another follows. Redis looks through
        `SCAN` rows in one step.
        """
        limit = min(max(1, limit), MAX_PAGE)
        if tenant is not None:
            return await self._sessions_of(tenant, cursor, limit, only)
        scan, filtering = (SCAN, (only.searched(), *only.needles())) if only else (limit, (b"",))
        rows: list[SessionRow] = []
        for _ in range(MAX_SCANNED // scan if only else 1):
            following, payloads, total = await self._store.script(
                "sessions",
                PAGE,
                (self._keys.index,),
                (cursor or "", limit - len(rows), self._keys.row(""), scan, *filtering),
            )
            found = (decode_row(payload) for payload in payloads)
            rows += (row for row in found if row is not None and (not only or only.fits(row)))
            cursor = following.decode() or None
            if cursor is None or len(rows) >= limit:
                break
        return Page(tuple(rows), cursor, total)

    async def _sessions_of(
        self, tenant: str, cursor: str | None, limit: int, only: RowFilter | None
    ) -> Page:
        """List a tenant's live sessions by its own index; a filter looks at `MAX_SCANNED` rows."""
        scan = MAX_PAGE if only else limit
        rows: list[SessionRow] = []
        for _ in range(MAX_SCANNED // scan if only else 1):
            following, payloads, total = await self._store.script(
                "sessions",
                PAGE_OF_LEASES,
                (self._keys.tenant(tenant, "sessions"),),
                (cursor or "", scan, self._keys.row("")),
            )
            found = [row for payload in payloads if (row := decode_row(payload)) is not None]
            cursor = following.decode() or None
            for at, row in enumerate(found, 1):
                if row.tenant == tenant and (not only or only.fits(row)):
                    rows.append(row)
                if len(rows) >= limit:
                    return Page(tuple(rows), row.id if at < len(found) else cursor, total)
            if cursor is None:
                break
        return Page(tuple(rows), cursor, total)

    async def synchronize_places(self, bounds: PlaceBounds, changes: PlaceChanges) -> PlaceReport:
        """Renew, free and ask for places; replicas whose entries were given some are told."""
        return await self._places.synchronize(bounds, changes)

    async def revoke(self, credential_id: str, ttl: float) -> None:
        """Mark a credential."""
        await self._store.call(
            "revoke", "SET", self._keys.revoked(credential_id), b"1", "PX", milliseconds(ttl)
        )

    async def revoked(self, credential_ids: Collection[str]) -> frozenset[str]:
        """Say which of these credentials are revoked, `KEYS_PER_TRIP` in a round trip."""
        names = list(dict.fromkeys(credential_ids))
        found: set[str] = set()
        for start in range(0, len(names), KEYS_PER_TRIP):
            some = names[start : start + KEYS_PER_TRIP]
            marks = await self._store.call("revoked", "MGET", *map(self._keys.revoked, some))
            found.update(name for name, mark in zip(some, marks, strict=True) if mark)
        return frozenset(found)

    async def tell(self, replica: str, message: bytes) -> bool:
        """Append to the replica's inbox, if it is alive; `MAX_INBOX` unread ones are kept."""
        reply: int = await self._store.script(
            "tell",
            TELL,
            (self._keys.replica(replica), self._keys.inbox(replica)),
            (MAX_INBOX, milliseconds(_INBOX_EXPIRY), message),
        )
        return bool(reply)

    def inbox(self) -> AsyncIterator[bytes]:
        """Yield the messages that were told to this replica. One reader at a time."""
        return self._inbox.messages()

    async def alive(self, replica: str) -> bool:
        """Say whether a replica beats; raise `StoreUnavailable` while that is unknown."""
        marked = self._heartbeat.marked
        beat, marker = await self._store.call(
            "alive", "MGET", self._keys.replica(replica), self._keys.marker(self._replica)
        )
        if beat is None and self._heartbeat.is_suspect(marked, marker):
            raise StoreUnavailable("alive: replicas have not reported again")
        return bool(beat == ON)

    async def ping(self) -> None:
        """Raise `StoreUnavailable` if Redis is silent, or read-only at the last heartbeat."""
        await self._vital.call("ping", "PING")
        if self._heartbeat.read_only:
            raise StateReadOnly("ping: the last write was refused")

    async def run(self) -> None:
        """Renew the heartbeat, retry commands and sweep the index of dead owners' sessions."""
        cursor: str | None = None
        swept = self._clock()
        while True:
            if await self._heartbeat.renew():
                await self._retries.flush()
                if self._clock() - swept > self._timings.lease:
                    swept = self._clock()
                    cursor = await self._sweep(cursor)
            await asyncio.sleep(self._timings.alive / 3)

    async def close(self) -> None:
        """Deregister, so that no replica waits for this one, and close every connection."""
        await self._retries.flush()
        await self._heartbeat.deregister()
        await self._inbox.close()
        await self._vital.close()
        await self._store.close()

    async def _refresh(self, rows: Sequence[SessionRow]) -> None:
        keys = [self._keys.index]
        args: list[str | bytes | int] = [milliseconds(self._timings.lease)]
        for row in rows:
            key, _, subject, address = self._session_keys(row)
            keys += (key, subject, address)
            args += (row.id, encode_row(row))
        await self._store.script("refresh", REFRESH, keys, args)
        # A session that left while its refresh was on the way must not come back by it.
        for row in rows:
            if row.id in self._left:
                await self.leave(row)

    async def _sweep(self, cursor: str | None) -> str | None:
        try:
            return (await self.sessions(cursor, MAX_PAGE)).next
        except StoreUnavailable:
            return cursor

    def _leaving(self, row: SessionRow) -> list[Command]:
        key, index, *groups = self._session_keys(row)
        return [("DEL", key), *(("ZREM", name, row.id) for name in (index, *groups))]

    def _owe_leave(self, row: SessionRow) -> None:
        self._retries.add(f"session {row.id}", self._leaving(row))

    def _session_keys(self, row: SessionRow) -> tuple[str, ...]:
        return (
            self._keys.row(row.id),
            self._keys.index,
            self._keys.subject(row.subject_scope),
            self._keys.address(row.address),
        )
