"""The names of everything that the gateway keeps in Redis.

On one Redis (or behind Sentinels) all of them share one hash tag, `{prefix}`. On a Redis Cluster
they are spread: each subject that is decided at once has a tag, and so a slot, of its own
(cluster specification, "Hash tags"), and a script or a transaction touches one of them.

Subjects, addresses and credentials are hashed in key names: they may be long, and they are
personal.
"""

from __future__ import annotations

import binascii
import hashlib
from bisect import bisect_right
from typing import Final

SLOTS: Final = 16384
SHARDS: Final = 64
"""Parts of the index of sessions in a Redis Cluster, whose slots are equally far apart."""


class Keys:
    """Key names under one prefix; `spread` over the slots of a Redis Cluster, or all in one."""

    def __init__(self, prefix: str, *, spread: bool = False) -> None:
        self._prefix = prefix
        self._spread = spread
        self.shards = SHARDS if spread else 1
        # Ids are hexadecimal and random: equal ranges of their first byte are equally full.
        self._bounds = [f"{number * 256 // self.shards:02x}" for number in range(1, self.shards)]
        self._shard_tags = [self._shard_tag(number) for number in range(self.shards)]

    def _tag(self, subject: str) -> str:
        return f"{{{self._prefix}:{subject}}}:" if self._spread else f"{{{self._prefix}}}:"

    def _shard_tag(self, number: int) -> str:
        """The first tag whose slot lies in the shard's equal part of all slots."""
        if not self._spread:
            return self._tag("")
        attempt, part = 0, SLOTS // self.shards
        while slot_of(f"{self._prefix}:s{number}.{attempt}") // part != number:
            attempt += 1
        return self._tag(f"s{number}.{attempt}")

    def check(self, shard: int) -> str:
        """Name what is written to see whether a shard takes writes."""
        return f"{self._shard_tags[shard]}check"

    def ticket(self, key: str) -> str:
        """Name a ticket's payload, by the hash of the ticket."""
        return f"{self._tag(key)}ticket:{key}"

    def claim(self, key: str) -> str:
        """Name who redeemed a ticket."""
        return f"{self._tag(key)}claim:{key}"

    def given_up(self, key: str, claimant: str) -> str:
        """Name the mark of a claimant that gave its ticket back."""
        return f"{self._tag(key)}given-up:{claimant}"

    def token(self, key: str) -> str:
        """Name a reusable token's payload, by the hash of the token."""
        return f"{self._tag('tokens')}token:{key}"

    def token_name(self, integration: str, name: str) -> str:
        """Name what holds a token's hash by its integration and name."""
        return f"{self._tag('tokens')}token-name:{_hashed(integration)}:{_hashed(name)}"

    @property
    def token_index(self) -> str:
        """Name the sorted set of all reusable tokens, by their expiry."""
        return f"{self._tag('tokens')}tokens"

    def call(self, call_id: str) -> str:
        """Name what is known of a call."""
        return f"{self._tag(_hashed(call_id))}call:{_hashed(call_id)}"

    def sign_in(self, key: str) -> str:
        """Name a sign-in at the console, begun or in force, by the hash of its secret."""
        return f"{self._tag(key)}sign-in:{key}"

    def approval(self, key: str) -> str:
        """Name a tool call that waits for an approval."""
        return f"{self._tag('approvals')}approval:{key}"

    @property
    def approvals(self) -> str:
        """Name the sorted set of all such calls, by their expiry."""
        return f"{self._tag('approvals')}approvals"

    def request(self, key: str) -> str:
        """Name what was answered to a request, by its idempotency key."""
        return f"{self._tag(_hashed(key))}request:{_hashed(key)}"

    # Sessions: rows and indices share the tag of their shard.

    def shard(self, session_id: str) -> int:
        """The shard that holds a session. A greater id is never in a lower one."""
        return bisect_right(self._bounds, session_id)

    def first_of(self, shard: int) -> str:
        """What comes before every id of a shard, and after all of the shards before."""
        return self._bounds[shard - 1] if shard else ""

    def row_prefix(self, shard: int) -> str:
        """What the names of a shard's rows begin with; a session's id follows."""
        return f"{self._shard_tags[shard]}session:"

    def row(self, session_id: str) -> str:
        """Name a session's row."""
        return f"{self.row_prefix(self.shard(session_id))}{session_id}"

    def gone(self, session_id: str) -> str:
        """Name the mark of a session whose row must not be written any more."""
        return f"{self._shard_tags[self.shard(session_id)]}gone:{session_id}"

    def index(self, shard: int) -> str:
        """Name the sorted set of a shard's session ids; all scores are 0."""
        return f"{self._shard_tags[shard]}sessions"

    def tenant_index(self, tenant: str, shard: int) -> str:
        """Name the sorted set of a tenant's session ids in a shard; all scores are 0."""
        return f"{self._shard_tags[shard]}sessions:{_hashed(tenant)}"

    # Caps: what is decided about one subject or address shares a tag.

    def subject_cap(self, subject: str) -> str:
        """Name the cap of one subject."""
        return f"subject:{_hashed(subject)}"

    def address_cap(self, address: str) -> str:
        """Name the cap of one address."""
        return f"address:{_hashed(address)}"

    def cap_counts(self, cap: str) -> str:
        """Name the hash of how many places of a cap each owner holds; the field '' is their sum."""
        return f"{self._tag(cap)}cap:{cap}"

    def cap_members(self, cap: str, owner: str) -> str:
        """Name the set of an owner's sessions that hold a place of a cap."""
        return f"{self._tag(cap)}cap:{cap}:{owner}"

    def cap_gone(self, cap: str, session_id: str) -> str:
        """Name the mark of a session that must not take a place of a cap any more."""
        return f"{self._tag(cap)}cap-gone:{session_id}"

    # Owners of sessions: one life of a replica each.

    def held(self, owner: str) -> str:
        """Name the hash of an owner's sessions, with the caps of which they hold places."""
        return f"{self._tag(f'o:{owner}')}held:{owner}"

    def owners(self, part: str) -> str:
        """Name a part of the registry of owners, see `app.state.owners`."""
        return f"{self._tag('owners')}owners:{part}"

    def revoked(self, credential_id: str) -> str:
        """Name the mark of a revoked credential."""
        return f"{self._tag(_hashed(credential_id))}revoked:{_hashed(credential_id)}"

    @property
    def revocations(self) -> str:
        """Name the number of revocations so far."""
        return f"{self._tag('revocations')}revocations"

    def replica(self, replica: str) -> str:
        """Name what is `on` while the replica lives."""
        return f"{self._tag(f'r:{replica}')}replica:{replica}"

    def marker(self, replica: str) -> str:
        """Name what outlives short outages: its absence says that the store has lost its memory."""
        return f"{self._tag(f'r:{replica}')}marker:{replica}"

    def inbox(self, replica: str) -> str:
        """Name the stream of messages to a replica."""
        return f"{self._tag(f'r:{replica}')}inbox:{replica}"

    def places(self, part: str) -> str:
        """Name a part of the table of places for upstream sessions, see `PLACES`."""
        return f"{self._tag('places')}places:{part}"

    def turn(self, turn: str) -> str:
        """Name the number that is kept for a browser that comes back with this token."""
        return f"{self._tag('places')}places:turn:{turn}"

    @property
    def journal(self) -> str:
        """Name the hash of sessions that have begun and are not in history yet."""
        return f"{self._tag('journal')}journal"

    def tenant(self, tenant: str, part: str) -> str:
        """Name a part of a tenant's ledger, see `RedisLedger`."""
        return f"{self._tag(f't:{tenant}')}tenant:{tenant}:{part}"

    def stream(self, name: str, reader: str) -> str:
        """Name a stream of a bridge or a watch, by its own unguessable name and who reads it.

        All streams that one replica reads share a slot, so that it can wait for many at once.
        """
        return f"{self._tag(f'r:{reader}')}stream:{name}"


def slot_of(tag: str) -> int:
    """The slot of keys with this hash tag: CRC16/XMODEM (cluster specification, appendix A)."""
    return binascii.crc_hqx(tag.encode(), 0) % SLOTS


def _hashed(value: str) -> str:
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:32]
