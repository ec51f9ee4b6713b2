"""The commands on sets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.state.local_store.commands import Command
    from app.state.local_store.keyspace import Keyspace


def sadd(keys: Keyspace, words: Sequence[bytes]) -> object:
    """SADD."""
    kept = keys.get(words[0], set)
    if kept is None:
        kept = set()
        keys.put(words[0], kept)
    before = len(kept)
    kept.update(words[1:])
    return len(kept) - before


def srem(keys: Keyspace, words: Sequence[bytes]) -> object:
    """SREM."""
    kept = keys.get(words[0], set)
    if kept is None:
        return 0
    gone = kept.intersection(words[1:])
    kept -= gone
    if not kept:
        keys.delete(words[0])
    return len(gone)


def sismember(keys: Keyspace, words: Sequence[bytes]) -> object:
    """SISMEMBER."""
    return int(words[1] in (keys.get(words[0], set) or ()))


COMMANDS: Final[dict[bytes, tuple[Command, int]]] = {
    b"SADD": (sadd, 2),
    b"SREM": (srem, 2),
    b"SISMEMBER": (sismember, 2),
}
"""As in `app.state.local_store.commands`."""
