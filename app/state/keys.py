"""The names of everything that the gateway keeps in Redis.

All of them share one hash tag, so that scripts and pipelines stay on one slot of a Redis
Cluster (cluster specification, "Hash tags"). That does not spread the load: the traffic is
small, and two gateways on one cluster use two prefixes.

Subjects, addresses and credentials are hashed in key names: they may be long, and they are
personal.
"""

from __future__ import annotations

import hashlib


class Keys:
    """Key names under one prefix."""

    def __init__(self, prefix: str) -> None:
        self._tag = f"{{{prefix}}}:"

    def ticket(self, key: str) -> str:
        """Name a ticket's payload, by the hash of the ticket."""
        return f"{self._tag}ticket:{key}"

    def claim(self, key: str) -> str:
        """Name who redeemed a ticket."""
        return f"{self._tag}claim:{key}"

    def given_up(self, claimant: str) -> str:
        """Name the mark of a claimant that gave its ticket back."""
        return f"{self._tag}given-up:{claimant}"

    def token(self, key: str) -> str:
        """Name a reusable token's payload, by the hash of the token."""
        return f"{self._tag}token:{key}"

    def token_name(self, integration: str, name: str) -> str:
        """Name what holds a token's hash by its integration and name."""
        return f"{self._tag}token-name:{_hashed(integration)}:{_hashed(name)}"

    @property
    def token_index(self) -> str:
        """Name the sorted set of all reusable tokens, by their expiry."""
        return f"{self._tag}tokens"

    def call(self, call_id: str) -> str:
        """Name what is known of a call."""
        return f"{self._tag}call:{_hashed(call_id)}"

    def sign_in(self, key: str) -> str:
        """Name a sign-in at the console, begun or in force, by the hash of its secret."""
        return f"{self._tag}sign-in:{key}"

    def approval(self, key: str) -> str:
        """Name a tool call that waits for an approval."""
        return f"{self._tag}approval:{key}"

    @property
    def approvals(self) -> str:
        """Name the sorted set of all such calls, by their expiry."""
        return f"{self._tag}approvals"

    def request(self, key: str) -> str:
        """Name what was answered to a request, by its idempotency key."""
        return f"{self._tag}request:{_hashed(key)}"

    def row(self, session_id: str) -> str:
        """Name a session's row: its expiry is the session's lease."""
        return f"{self._tag}session:{session_id}"

    @property
    def index(self) -> str:
        """Name the sorted set of all session ids, stale ones included; all scores are 0."""
        return f"{self._tag}sessions"

    def subject(self, subject: str) -> str:
        """Name the sorted set of one subject's sessions, by the end of their leases."""
        return f"{self._tag}subject:{_hashed(subject)}"

    def address(self, address: str) -> str:
        """Name the sorted set of one address's sessions, by the end of their leases."""
        return f"{self._tag}address:{_hashed(address)}"

    def revoked(self, credential_id: str) -> str:
        """Name the mark of a revoked credential."""
        return f"{self._tag}revoked:{_hashed(credential_id)}"

    def replica(self, replica: str) -> str:
        """Name what is `on` while the replica lives."""
        return f"{self._tag}replica:{replica}"

    def marker(self, replica: str) -> str:
        """Name what outlives short outages: its absence says that the store has lost its memory."""
        return f"{self._tag}marker:{replica}"

    def inbox(self, replica: str) -> str:
        """Name the stream of messages to a replica."""
        return f"{self._tag}inbox:{replica}"

    def places(self, part: str) -> str:
        """Name a part of the table of places for upstream sessions, see `PLACES`."""
        return f"{self._tag}places:{part}"

    def turn(self, turn: str) -> str:
        """Name the number that is kept for a browser that comes back with this token."""
        return f"{self._tag}places:turn:{turn}"

    @property
    def journal(self) -> str:
        """Name the hash of sessions that have begun and are not in history yet."""
        return f"{self._tag}journal"

    def tenant(self, tenant: str, part: str) -> str:
        """Name a part of a tenant's ledger, see `RedisLedger`."""
        return f"{self._tag}tenant:{tenant}:{part}"

    def stream(self, name: str) -> str:
        """Name a stream of a bridge or a watch, by its own unguessable name."""
        return f"{self._tag}stream:{name}"


def _hashed(value: str) -> str:
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:32]
