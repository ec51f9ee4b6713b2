"""What one session's registration consists of, and the commands that make and undo it.

A registration spans slots, and each step names its owner: the owner's note of it (`held`), a place
of each cap, the row. They are written in this order and removed in the opposite one, so that
whatever a crash leaves behind is noted, and is swept once the owner is dead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from app.state.redis_client import ScriptCall
from app.state.row_codec import encode_row, owner_member
from app.state.session_scripts import DELETE_ROW, DROP_OWNERS, PUT_ROW, RELEASE, RESERVE

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from app.state.interface import SessionRow
    from app.state.keys import Keys

EXPIRY: Final = 24 * 3600 * 1000
"""Milliseconds after which what is not removed expires; owners write it again before."""

MARK: Final = 60_000
"""Milliseconds for which late commands of a session that was given up change nothing."""

FORCED: Final = -1
"""The cap of a session that is live already: it takes its place whatever the others hold."""


@dataclass(frozen=True, slots=True)
class Registration:
    """A session as `owner` has registered it. `caps` are of its subject and its address."""

    id: str
    owner: str
    caps: tuple[str, str]
    tenant: str | None

    def note(self) -> bytes:
        """What the owner notes of it."""
        return orjson.dumps([*self.caps, self.tenant])


class Registrations:
    """Makes the commands."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def of(self, row: SessionRow, owner: str) -> Registration:
        """The registration of a row."""
        caps = self._keys.subject_cap(row.subject_scope), self._keys.address_cap(row.address)
        return Registration(row.id, owner, caps, row.tenant)

    def noted(self, session_id: bytes, owner: str, note: bytes) -> Registration:
        """The registration that an owner has noted."""
        subject, address, tenant = orjson.loads(note)
        return Registration(session_id.decode(), owner, (subject, address), tenant)

    def note(self, held: Registration) -> tuple[str | bytes, ...]:
        """Note it, before anything else is done."""
        return ("HSET", self._keys.held(held.owner), held.id, held.note())

    def reserve(self, held: Registration, cap: str, most: int) -> ScriptCall:
        """Take a place of a cap."""
        args = (held.id, held.owner, most, EXPIRY)
        return ScriptCall(RESERVE, self._cap_names(held, cap), args)

    def put_row(self, held: Registration, row: SessionRow) -> ScriptCall:
        """Publish the row."""
        args = (held.id, encode_row(row, held.owner), EXPIRY)
        return ScriptCall(PUT_ROW, self._row_names(held), args)

    def removal(self, held: Registration, *, mark: bool) -> list[ScriptCall]:
        """Remove row and places. With `mark`, commands that are still under way come too late."""
        period = MARK if mark else 0
        row_args = (held.id, owner_member(held.owner), period)
        return [
            ScriptCall(DELETE_ROW, self._row_names(held), row_args),
            *(self.release(held, cap, period) for cap in held.caps),
        ]

    def release(self, held: Registration, cap: str, period: int = 0) -> ScriptCall:
        """Free the place of a cap."""
        return ScriptCall(RELEASE, self._cap_names(held, cap), (held.id, held.owner, period))

    def drop(self, cap: str, owners: Collection[str]) -> ScriptCall:
        """Free all places of a cap that dead owners hold."""
        members = (self._keys.cap_members(cap, owner) for owner in owners)
        return ScriptCall(DROP_OWNERS, (self._keys.cap_counts(cap), *members), tuple(owners))

    def forget(self, gone: Sequence[Registration]) -> list[tuple[str | bytes, ...]]:
        """Remove the notes, after everything else."""
        by_owner: dict[str, list[str]] = {}
        for held in gone:
            by_owner.setdefault(held.owner, []).append(held.id)
        return [("HDEL", self._keys.held(owner), *ids) for owner, ids in by_owner.items()]

    def _cap_names(self, held: Registration, cap: str) -> tuple[str, str, str]:
        keys = self._keys
        return keys.cap_counts(cap), keys.cap_members(cap, held.owner), keys.cap_gone(cap, held.id)

    def _row_names(self, held: Registration) -> tuple[str, ...]:
        keys, shard = self._keys, self._keys.shard(held.id)
        indices = [keys.index(shard)]
        if held.tenant is not None:
            indices.append(keys.tenant_index(held.tenant, shard))
        return keys.row(held.id), keys.gone(held.id), *indices


def pairs(fields: Any) -> list[tuple[bytes, bytes]]:
    """Fields and values of a scanned hash, as redis-py gives them."""
    if isinstance(fields, dict):
        return list(fields.items())
    return list(zip(fields[::2], fields[1::2], strict=True))
