"""The port on one process: nothing is shared, nothing survives, nothing can be lost."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from app.protocol.errors import StoreUnavailable
from app.state.expiring import ExpiringDict
from app.state.interface import Caps, Journal, Page, SessionRow, State
from app.state.memory_idempotency import MemoryRequests
from app.state.memory_ledger import MemoryLedger
from app.state.memory_records import MemoryRecords
from app.state.places import PLACE_GUARD, PLACE_LEASE, PlaceTable
from app.state.row_filter import MAX_SCANNED, SCAN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence

    from app.state.idempotency import Requests
    from app.state.places import PlaceBounds, PlaceChanges, PlaceReport
    from app.state.records import Records
    from app.state.row_filter import RowFilter
    from app.state.tenant_ledger import TenantLedger

MAX_TICKETS: Final = 100_000
MAX_CLAIMS: Final = 1_000
MAX_REVOKED: Final = 100_000
MAX_MESSAGES: Final = 1_000


class MemoryState(State):
    """What one process needs of the port, with the same leases and answers as `RedisState`.

    `replica` is this process's name; `lease` is in seconds; `clock` gives seconds that only
    grow. There is no other replica, so `tell` reaches this process alone.
    """

    def __init__(
        self,
        replica: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        lease: float = 15.0,
        places: PlaceTable | None = None,
    ) -> None:
        self._replica = replica
        self._clock = clock
        self._lease = lease
        self._tickets: ExpiringDict[str, bytes] = ExpiringDict(clock)
        self._claims: dict[str, _Claim] = {}
        self._revoked: ExpiringDict[str, None] = ExpiringDict(clock)
        self._sessions: ExpiringDict[str, SessionRow] = ExpiringDict(clock)
        self._by_subject: dict[str, set[str]] = {}
        self._by_address: dict[str, set[str]] = {}
        self._messages: deque[bytes] = deque(maxlen=MAX_MESSAGES)
        self._told = asyncio.Event()
        self.records: Records = MemoryRecords(clock)
        self.requests: Requests = MemoryRequests(clock)
        self.ledger: TenantLedger = MemoryLedger(lease)
        self.journal: Journal | None = None
        self._places = places or PlaceTable(PLACE_LEASE, PLACE_GUARD)

    async def put_ticket(self, key: str, payload: bytes, ttl: float) -> None:
        """Keep a ticket; raise `StoreUnavailable` when `MAX_TICKETS` wait to be redeemed."""
        if len(self._tickets) >= MAX_TICKETS:
            self._tickets.prune()
            if len(self._tickets) >= MAX_TICKETS:
                raise StoreUnavailable("too many tickets wait to be redeemed")
        self._tickets.put(key, payload, ttl)

    async def peek_ticket(self, key: str) -> bytes | None:
        """Return the payload of a ticket that is not redeemed."""
        return self._tickets.get(key)

    async def take_ticket(self, key: str, claimant: str | None = None) -> bytes | None:
        """Redeem a ticket for one claimant; the newest `MAX_CLAIMS` can be given back."""
        left = self._tickets.left(key)
        payload = self._tickets.pop(key)
        if payload is None:
            claim = self._claims.get(key)
            mine = claim is not None and claimant is not None and claim.claimant == claimant
            return claim.payload if claim is not None and mine else None
        if claimant is not None:
            if len(self._claims) >= MAX_CLAIMS:
                del self._claims[next(iter(self._claims))]
            self._claims[key] = _Claim(claimant, payload, left, self._clock())
        return payload

    def return_ticket(self, key: str, claimant: str) -> None:
        """Give a ticket back at once."""
        claim = self._claims.get(key)
        if claim is not None and claim.claimant == claimant:
            del self._claims[key]
            left = claim.left - (self._clock() - claim.at)
            self._tickets.put(key, claim.payload, left)

    async def enter(self, row: SessionRow, caps: Caps) -> str | None:
        """Register a session unless its credential is revoked or a cap is full."""
        if any(name in self._revoked for name in row.revocation_names):
            return "revoked"
        if self._full(self._by_subject, row.subject_scope, row.id, caps.per_subject):
            return "subject"
        if self._full(self._by_address, row.address, row.id, caps.per_address):
            return "address"
        self._register(row)
        return None

    async def refresh(self, rows: Sequence[SessionRow]) -> None:
        """Renew leases; a session whose lease had run out is registered again."""
        for row in rows:
            self._register(row)

    async def leave(self, row: SessionRow) -> None:
        """Forget a session."""
        self._sessions.pop(row.id)
        _discard(self._by_subject, row.subject_scope, row.id)
        _discard(self._by_address, row.address, row.id)

    async def find(self, session_id: str) -> SessionRow | None:
        """Look a session up."""
        return self._sessions.get(session_id)

    async def sessions(
        self,
        cursor: str | None = None,
        limit: int = 100,
        only: RowFilter | None = None,
        tenant: str | None = None,
    ) -> Page:
        """List live sessions, ordered by id."""
        known = list(self._ids(tenant))
        ids = sorted(key for key in known if cursor is None or key > cursor)
        rows: list[SessionRow] = []
        for at, key in enumerate(ids, 1):
            row = self._sessions.get(key)
            if row is not None and (only is None or only.fits(row)):
                rows.append(row)
            if at < len(ids) and (len(rows) >= max(1, limit) or at >= MAX_SCANNED):
                return Page(tuple(rows), key, len(known))
            if at % SCAN == 0:
                await asyncio.sleep(0)
        return Page(tuple(rows), None, len(known))

    def _ids(self, tenant: str | None) -> Iterator[str]:
        """The ids of a tenant's live sessions, or of all."""
        if tenant is None:
            return iter(self._sessions)
        found = ((key, self._sessions.get(key)) for key in self._sessions)
        return (key for key, row in found if row is not None and row.tenant == tenant)

    async def synchronize_places(self, bounds: PlaceBounds, changes: PlaceChanges) -> PlaceReport:
        """Carry changes out; the inbox hears of places that were given to others than asked for."""
        report = self._places.synchronize(bounds, changes, self._clock())
        if changes.wake and self._places.given - report.statuses.keys():
            await self.tell(self._replica, changes.wake)
        return report

    async def revoke(self, credential_id: str, ttl: float) -> None:
        """Mark a credential; raise `StoreUnavailable` rather than forget one of `MAX_REVOKED`."""
        if len(self._revoked) >= MAX_REVOKED:
            self._revoked.prune()
            if len(self._revoked) >= MAX_REVOKED:
                raise StoreUnavailable("too many revoked credentials are remembered")
        self._revoked.put(credential_id, None, ttl)

    async def revoked(self, credential_ids: Collection[str]) -> frozenset[str]:
        """Say which of these credentials are revoked."""
        return frozenset(key for key in credential_ids if key in self._revoked)

    async def tell(self, replica: str, message: bytes) -> bool:
        """Put a message into this process's own inbox; the oldest of `MAX_MESSAGES` gives way."""
        if replica != self._replica:
            return False
        self._messages.append(message)
        self._told.set()
        return True

    async def alive(self, replica: str) -> bool:
        """Only this process is there."""
        return replica == self._replica

    async def inbox(self) -> AsyncIterator[bytes]:
        """Yield the messages that were told to this process. One reader at a time."""
        while True:
            while self._messages:
                yield self._messages.popleft()
            self._told.clear()
            await self._told.wait()

    async def ping(self) -> None:
        """Memory always answers."""

    async def run(self) -> None:
        """Wait to be cancelled; there is nothing to keep going."""
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Nothing to let go of."""

    def _register(self, row: SessionRow) -> None:
        self._sessions.put(row.id, row, self._lease)
        self._by_subject.setdefault(row.subject_scope, set()).add(row.id)
        self._by_address.setdefault(row.address, set()).add(row.id)

    def _full(self, groups: dict[str, set[str]], name: str, session_id: str, cap: int) -> bool:
        """Say whether a group has `cap` live sessions beside this one.

        Only a group that looks full is searched for sessions that ran out: it may be large.
        """
        members = groups.get(name)
        if members is None or len(members) < cap:
            return False
        for gone in [member for member in members if member not in self._sessions]:
            _discard(groups, name, gone)
        return len(members - {session_id}) >= cap


@dataclass(frozen=True, slots=True)
class _Claim:
    """Who redeemed a ticket when, and how many seconds it had left."""

    claimant: str
    payload: bytes
    left: float
    at: float


def _discard(groups: dict[str, set[str]], name: str, session_id: str) -> None:
    members = groups.get(name)
    if members is not None:
        members.discard(session_id)
        if not members:
            del groups[name]
