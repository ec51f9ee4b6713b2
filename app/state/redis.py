"""The port on Redis (6.2 or later) or Valkey: what replicas share survives any of them."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from app.protocol.errors import StateReadOnly, StoreUnavailable
from app.state.command_stream import CommandStream
from app.state.connector import Connector
from app.state.heartbeat import Heartbeat
from app.state.interface import Caps, Journal, Page, SessionRow, State
from app.state.keys import Keys
from app.state.liveness import Liveness
from app.state.owners import Owners
from app.state.redis_client import RedisClient, milliseconds
from app.state.redis_idempotency import RedisRequests
from app.state.redis_journal import RedisJournal
from app.state.redis_ledger import RedisLedger
from app.state.redis_places import RedisPlaces
from app.state.redis_records import RedisRecords
from app.state.redis_revocations import RedisRevocations
from app.state.redis_tickets import RedisTickets
from app.state.redis_timings import INBOX_EXPIRY, MAX_INBOX, Timings
from app.state.retry_queue import RetryQueue
from app.state.scripts import TELL
from app.state.session_list import SessionList
from app.state.session_registry import LOOKS_PER_LEASE, SessionRegistry
from app.state.sweeper import Sweeper

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Sequence

    from app.state.idempotency import Requests
    from app.state.places import PlaceBounds, PlaceChanges, PlaceReport
    from app.state.records import Records
    from app.state.row_filter import RowFilter
    from app.state.tenant_ledger import TenantLedger

__all__ = ["RedisState", "Timings"]


class RedisState(State):
    """What replicas share, in Redis.

    `url` is `redis://`, `rediss://` (TLS), `unix://` or, by way of Sentinels, `redis+sentinel://`;
    a `ValueError` says what is wrong with it. `replica` is this process's name, unique among
    those alive. Every key begins with `{prefix}:`. Each decision is made in Redis, by its clock. A
    call whose answer was lost is undone as soon as Redis answers again, while `run` runs.

    Sessions live as long as their owner (`app.state.owners`); `run` shows that this one lives,
    and sweeps what dead ones have left.

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
        connector: Connector | None = None,
    ) -> None:
        self._replica = replica
        self._timings = timings = timings or Timings()
        self._clock = clock
        self.connector = connector = connector or Connector(url)
        self.keys = keys = Keys(prefix, spread=connector.is_cluster)
        self._store = store = RedisClient(
            connector, timeout=timings.timeout, connections=connections, on_error=on_error
        )
        # Signs of life stand in no line: a crowd must not make a replica look dead, or unready.
        # One connection each for the mark of life, the owner's beat and readiness.
        self._vital = RedisClient(
            connector, timeout=timings.timeout, connections=3, on_error=on_error
        )
        self._retries = retries = RetryQueue(store, clock)
        self.records: Records = RedisRecords(store, keys, retries)
        self.requests: Requests = RedisRequests(store, keys)
        self.ledger: TenantLedger = RedisLedger(store, keys, retries, lease=timings.lease)
        self.journal: Journal | None = RedisJournal(store, keys, self.alive)
        self._inbox = CommandStream(
            connector, keys.inbox(replica), timeout=timings.timeout, on_error=on_error
        )
        self._places = RedisPlaces(
            store,
            keys,
            replica,
            lease=timings.place_lease,
            guard=timings.place_guard,
            tell=self.tell,
        )
        self._heartbeat = Heartbeat(
            self._vital,
            keys,
            replica,
            alive=timings.alive,
            refill=timings.refill,
            clock=clock,
        )
        self._tickets = RedisTickets(store, keys, retries)
        self._revocations = RedisRevocations(store, keys)
        self._owners = Owners(
            store,
            self._vital,
            keys,
            replica,
            lease=timings.lease,
            is_doubtful=self._heartbeat.is_doubtful,
        )
        self._liveness = Liveness(
            store,
            keys,
            replica,
            self._heartbeat,
            connector,
            self._owners,
            timings=timings,
            clock=clock,
        )
        self._registry = SessionRegistry(store, keys, self._owners)
        self._list = SessionList(store, keys, clock)
        self._sweeper = Sweeper(store, keys, self._owners, self._registry.removals)
        self._beat_is_due = asyncio.Event()
        self._upkeep_is_due = asyncio.Event()
        self._beat_advice: str | None = None  # on why this replica's sessions were not shown alive
        self._upkeep_advice: str | None = None

    async def put_ticket(self, key: str, payload: bytes, ttl: float) -> None:
        """Keep a ticket."""
        await self._tickets.put(key, payload, ttl)

    async def peek_ticket(self, key: str) -> bytes | None:
        """Return the payload of a ticket that is not redeemed."""
        return await self._tickets.peek(key)

    async def take_ticket(self, key: str, claimant: str | None = None) -> bytes | None:
        """Redeem a ticket for one claimant. After `StoreUnavailable` it is given back."""
        return await self._tickets.take(key, claimant)

    def return_ticket(self, key: str, claimant: str) -> None:
        """Give a ticket back with the next beat that Redis answers."""
        self._tickets.give_back(key, claimant)

    async def enter(self, row: SessionRow, caps: Caps) -> str | None:
        """Register a session unless its credential is revoked or a cap is full."""
        return await self._registry.enter(row, caps)

    async def refresh(self, rows: Sequence[SessionRow]) -> None:
        """Publish what has changed of rows; what Redis forgot is registered again."""
        await self._registry.refresh(rows)

    async def leave(self, row: SessionRow) -> None:
        """Forget a session. If this fails, Redis is told later."""
        await self._registry.leave(row)

    async def find(self, session_id: str) -> SessionRow | None:
        """Look a session up. Raises `StoreUnavailable` while owners may still have to re-register.

        That is so for `Timings.refill` after an outage, or after Redis has lost its data.
        """
        marked = self._heartbeat.marked
        row = await self._registry.find(session_id)
        if row is None and not await self._liveness.is_known_to_be_gone("find", marked):
            raise StoreUnavailable("find: the registry is being filled again")
        return row

    async def sessions(
        self,
        cursor: str | None = None,
        limit: int = 100,
        only: RowFilter | None = None,
        tenant: str | None = None,
    ) -> Page:
        """List live sessions of every replica, ordered by id, at most `MAX_PAGE` at a time.

        A page may hold fewer rows than `limit`, or none, although another follows. Redis looks
        through `SCAN` rows in one step, and a filter for about `PAGE_TIME` seconds.
        """
        return await self._list.page(cursor, limit, only, tenant)

    async def synchronize_places(self, bounds: PlaceBounds, changes: PlaceChanges) -> PlaceReport:
        """Renew, free and ask for places; replicas whose entries were given some are told."""
        return await self._places.synchronize(bounds, changes)

    async def revoke(self, credential_id: str, ttl: float) -> None:
        """Mark a credential."""
        await self._revocations.revoke(credential_id, ttl)

    async def revoked(self, credential_ids: Collection[str]) -> frozenset[str]:
        """Say which of these credentials are revoked."""
        return await self._revocations.among(credential_ids)

    async def tell(self, replica: str, message: bytes) -> bool:
        """Append to the replica's inbox, if it is alive; `MAX_INBOX` unread ones are kept."""
        reply: int = await self._store.script(
            "tell",
            TELL,
            (self.keys.replica(replica), self.keys.inbox(replica)),
            (MAX_INBOX, milliseconds(INBOX_EXPIRY), message),
        )
        return bool(reply)

    def inbox(self) -> AsyncIterator[bytes]:
        """Yield the messages that were told to this replica. One reader at a time."""
        return self._inbox.messages()

    async def alive(self, replica: str) -> bool:
        """Say whether a replica beats; raise `StoreUnavailable` while that is unknown."""
        return await self._liveness.alive(replica)

    async def ping(self) -> None:
        """Raise `StoreUnavailable` if Redis is silent, or read-only at the last heartbeat."""
        try:
            await self._vital.call("ping", "PING")
        except StoreUnavailable as lost:
            raise StoreUnavailable(str(lost), lost.advice or self._heartbeat.advice) from lost
        if self._heartbeat.read_only:
            raise StateReadOnly("ping: the last write was refused")
        advice = self._heartbeat.advice or self._beat_advice or self._upkeep_advice
        if advice is not None:
            raise StoreUnavailable("ping: the last beat failed", advice)

    async def run(self) -> None:
        """Renew the heartbeats, retry commands, and sweep what dead owners have left."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._sweeper.run(), name="state:sweeper")
            tasks.create_task(self._beat_owner(), name="state:owner")
            tasks.create_task(self._maintain(), name="state:maintenance")
            tasks.create_task(self.connector.watch_primary(), name="state:primary")
            await self._beat()

    async def close(self) -> None:
        """Deregister, so that no replica waits for this one, and close every connection."""
        await self._retries.flush()
        await self._registry.settle()
        await self._owners.end()
        await self._heartbeat.deregister()
        await self._inbox.close()
        await self._vital.close()
        await self._store.close()

    async def _beat(self) -> None:
        """Show that this replica lives, whatever else takes its time."""
        while True:
            self._liveness.note_losses()
            was_read_only = self._heartbeat.read_only
            if await self._heartbeat.renew():
                if was_read_only:
                    # What was dialled before, and only reads, may still lead to the old primary.
                    self.connector.demoted(self.connector.generation)
                self._beat_is_due.set()
                self._upkeep_is_due.set()
            await asyncio.sleep(min(self._timings.alive / 3, self._owners.interval))

    async def _beat_owner(self) -> None:
        """Show that this replica's sessions live, also while a crowd waits for the store.

        In a Redis Cluster this may wait for the slot of the registry, while that is being moved.
        """
        while True:
            await self._beat_is_due.wait()
            self._beat_is_due.clear()
            try:
                if self._owners.is_due:
                    claim = await self._owners.beat()
                    if claim is not None:
                        self._sweeper.claim(claim)
                self._beat_advice = None
            except StoreUnavailable as lost:
                self._beat_advice = lost.advice

    async def _maintain(self) -> None:
        """After each beat: what is owed to the store, the look, the audit. Any of them may wait."""
        audited = looked = float("-inf")
        while True:
            await self._upkeep_is_due.wait()
            self._upkeep_is_due.clear()
            await self._retries.flush()
            await self._registry.settle()
            now = self._clock()
            try:
                if now - looked >= self._timings.lease / LOOKS_PER_LEASE:
                    looked = now
                    await self._registry.look()
                if now - audited >= self._timings.lease:
                    audited = now
                    await self._registry.audit()
                self._upkeep_advice = None
            except StoreUnavailable as lost:
                self._upkeep_advice = lost.advice
