"""The port to the shared store: memory on one replica, Redis on many.

Every coroutine raises `StateLost` when the store does not answer in time. None is on a frame's
way: a conversation whose browser sits on its owner never waits for the store.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from app.protocol.tenant import revocation_names, scoped

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Sequence

    from app.state.idempotency import Requests
    from app.state.places import PlaceBounds, PlaceChanges, PlaceReport
    from app.state.records import Records
    from app.state.row_filter import RowFilter
    from app.state.tenant_ledger import TenantLedger


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One live session, as every replica may see it. No content, no credential.

    `started_at` is in Unix seconds; `browser` is "here", "away" or "none" (a call without one).
    `requested_agent` is the agent that was asked for, where another one serves.
    `operator` has taken it over, since `taken_at`; `wants_human` says that its agent asks for a
    person. Counters are of frames and bytes since the start: `in` from the browser, `out` to it.
    `tenant` owns the session's agent, None is the operator. `seconds` is how long the conversation
    has lasted, until its end.
    """

    id: str
    replica: str
    agent: str
    call_type: str
    subject: str
    address: str
    started_at: float
    phase: str = "connecting"
    browser: str = "here"
    credential_id: str | None = None
    frames_in: int = 0
    frames_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    tools: int = 0
    requested_agent: str | None = None
    operator: str | None = None
    taken_at: float | None = None
    wants_human: bool = False
    wants_human_reason: str | None = None
    wants_human_since: float | None = None
    tenant: str | None = None
    seconds: float = 0.0

    @property
    def subject_scope(self) -> str:
        """The subject as caps count it: another tenant's equal subject is another one."""
        return scoped(self.subject, self.tenant)

    @property
    def revocation_names(self) -> tuple[str, ...]:
        """The names by which this session's credential may be revoked."""
        if self.credential_id is None:
            return ()
        return revocation_names(self.credential_id, self.tenant)


@dataclass(frozen=True, slots=True)
class Caps:
    """How many live sessions one subject and one address may hold, over all replicas."""

    per_subject: int
    per_address: int


@dataclass(frozen=True, slots=True)
class Page:
    """One page of rows; `next` is the cursor of the following one, or None at the end.

    `total` is about how many there are in all, whatever the filter: some may just have ended.
    """

    rows: tuple[SessionRow, ...]
    next: str | None = None
    total: int = 0


class Journal(Protocol):
    """Sessions that have begun and are not in history yet: a replica that dies leaves some behind.

    Every coroutine raises `StoreUnavailable` when the store does not answer in time.
    """

    async def put(self, row: SessionRow) -> None:
        """Note that a session begins; the store bounds how many are noted."""
        ...

    async def settle(self, session_ids: Collection[str]) -> None:
        """Forget sessions that are in history, or never were conversations."""
        ...

    async def orphans(self) -> list[SessionRow]:
        """The noted sessions whose replica is dead."""
        ...


class State(Protocol):
    """What replicas share. `run` must be running for messages and leases to work.

    `records` are reusable tokens, and calls by their id; `requests` what was answered by
    idempotency keys; `ledger` counts what tenants use; `journal` notes which sessions begin, None
    where nothing outlives the process.
    """

    records: Records
    requests: Requests
    ledger: TenantLedger
    journal: Journal | None

    async def put_ticket(self, key: str, payload: bytes, ttl: float) -> None:
        """Keep `payload` under `key` (a hash, never the ticket itself) for `ttl` seconds."""
        ...

    async def peek_ticket(self, key: str) -> bytes | None:
        """Return the payload of a ticket that is not redeemed, and leave it as it is."""
        ...

    async def take_ticket(self, key: str, claimant: str | None = None) -> bytes | None:
        """Redeem: return the payload to one claimant, as often as it asks; to all others None.

        `claimant` names one handshake, and cannot be guessed; without it each call is another.
        After `StateLost` the ticket is given back by itself: that claimant gets it no more.
        """
        ...

    def return_ticket(self, key: str, claimant: str) -> None:
        """Let a ticket be redeemed by another claimant: this one came to nothing.

        It is done as soon as the store answers, and may be asked for whatever became of the claim.
        """
        ...

    async def enter(self, row: SessionRow, caps: Caps) -> str | None:
        """Register a session under a lease, atomically with its caps.

        Returns None, or why not: "revoked", or the cap that is full, "subject" or "address".
        After `StateLost` the session is forgotten by itself, as by `leave`.
        """
        ...

    async def refresh(self, rows: Sequence[SessionRow]) -> None:
        """Renew the leases of this replica's sessions and publish their rows, in one round trip."""
        ...

    async def leave(self, row: SessionRow) -> None:
        """Forget a session and free its caps. Idempotent."""
        ...

    async def find(self, session_id: str) -> SessionRow | None:
        """Look a session up; None once it has left or its lease ran out."""
        ...

    async def sessions(
        self,
        cursor: str | None = None,
        limit: int = 100,
        only: RowFilter | None = None,
        tenant: str | None = None,
    ) -> Page:
        """List live sessions of every replica: a tenant's alone, or with None all.

        A page may be short although another follows. Its total is of what `tenant` may see.
        """
        ...

    async def synchronize_places(self, bounds: PlaceBounds, changes: PlaceChanges) -> PlaceReport:
        """Renew, free and ask for places of upstream sessions, atomically (`app.state.places`).

        Nothing is undone after `StateLost`: what was asked for must be released.
        """
        ...

    async def revoke(self, credential_id: str, ttl: float) -> None:
        """Mark a credential as revoked for `ttl` seconds, on every replica."""
        ...

    async def revoked(self, credential_ids: Collection[str]) -> frozenset[str]:
        """Return those of the given credentials that are revoked."""
        ...

    async def tell(self, replica: str, message: bytes) -> bool:
        """Send a message to a replica; False when it shows no sign of life."""
        ...

    async def alive(self, replica: str) -> bool:
        """Say whether a replica lives. Raises `StoreUnavailable` while that is unknown."""
        ...

    def inbox(self) -> AsyncIterator[bytes]:
        """Yield the messages that were told to this replica; survives the store's absence."""
        ...

    async def ping(self) -> None:
        """Raise `StateLost` if the store does not answer."""
        ...

    async def run(self) -> None:
        """Keep this replica's own lease and the inbox going until cancelled."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
