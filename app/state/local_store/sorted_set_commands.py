"""The commands on sorted sets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from app.state.local_store.commands import SYNTAX, number
from app.state.local_store.resp import StoreError
from app.state.local_store.sorted_set import SortedSet, bound_of, score_of, text_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.state.local_store.commands import Command
    from app.state.local_store.keyspace import Keyspace


def _set(keys: Keyspace, key: bytes) -> SortedSet:
    found = keys.get(key, SortedSet)
    return SortedSet() if found is None else found


def _settle(keys: Keyspace, key: bytes, kept: SortedSet) -> None:
    """A set without members is none."""
    if not len(kept):
        keys.delete(key)


def zadd(keys: Keyspace, words: Sequence[bytes]) -> object:
    """ZADD, with NX, XX, GT and LT."""
    at, options = 1, set()
    while at < len(words) and words[at].upper() in {b"NX", b"XX", b"GT", b"LT"}:
        options.add(words[at].upper())
        at += 1
    pairs = words[at:]
    if not pairs or len(pairs) % 2:
        raise StoreError(SYNTAX)
    scores = [score_of(text) for text in pairs[::2]]
    kept = keys.get(words[0], SortedSet)
    if kept is None:
        kept = SortedSet()
        keys.put(words[0], kept)
    new = 0
    for score, member in zip(scores, pairs[1::2], strict=True):
        before = kept.scores.get(member)
        if (b"NX" in options and before is not None) or (b"XX" in options and before is None):
            continue
        if before is not None and (
            (b"GT" in options and score <= before) or (b"LT" in options and score >= before)
        ):
            continue
        new += kept.add(member, score)
    _settle(keys, words[0], kept)
    return new


def zrem(keys: Keyspace, words: Sequence[bytes]) -> object:
    """ZREM."""
    kept = _set(keys, words[0])
    gone = sum(kept.remove(member) for member in words[1:])
    _settle(keys, words[0], kept)
    return gone


def zcard(keys: Keyspace, words: Sequence[bytes]) -> object:
    """ZCARD."""
    return len(_set(keys, words[0]))


def zcount(keys: Keyspace, words: Sequence[bytes]) -> object:
    """ZCOUNT."""
    kept = _set(keys, words[0])
    where = kept.by_score(bound_of(words[1]), bound_of(words[2]))
    return len(kept.at(where))


def zscore(keys: Keyspace, words: Sequence[bytes]) -> object:
    """ZSCORE."""
    score = _set(keys, words[0]).scores.get(words[1])
    return None if score is None else text_of(score)


def zrank(keys: Keyspace, words: Sequence[bytes]) -> object:
    """ZRANK."""
    return _set(keys, words[0]).rank(words[1])


def zrange(keys: Keyspace, words: Sequence[bytes]) -> object:
    """ZRANGE by rank, with WITHSCORES."""
    options = [word.upper() for word in words[3:]]
    if options not in ([], [b"WITHSCORES"]):
        raise StoreError(SYNTAX)
    found = _set(keys, words[0]).by_rank(number(words[1]), number(words[2]))
    return _members(found, scores=bool(options))


def zrangebyscore(keys: Keyspace, words: Sequence[bytes]) -> object:
    """ZRANGEBYSCORE, with WITHSCORES and LIMIT."""
    options, limit = _limited(words[3:])
    kept = _set(keys, words[0])
    found = kept.at(kept.by_score(bound_of(words[1]), bound_of(words[2])))[limit]
    if options not in ([], [b"WITHSCORES"]):
        raise StoreError(SYNTAX)
    return _members(found, scores=bool(options))


def zrangebylex(keys: Keyspace, words: Sequence[bytes]) -> object:
    """ZRANGEBYLEX, with LIMIT."""
    options, limit = _limited(words[3:])
    if options:
        raise StoreError(SYNTAX)
    return list(_set(keys, words[0]).by_name(words[1], words[2])[limit])


def zremrangebyscore(keys: Keyspace, words: Sequence[bytes]) -> object:
    """ZREMRANGEBYSCORE."""
    kept = _set(keys, words[0])
    gone = kept.remove_at(kept.by_score(bound_of(words[1]), bound_of(words[2])))
    _settle(keys, words[0], kept)
    return gone


def _members(found: Sequence[tuple[float, bytes]], *, scores: bool) -> list[bytes]:
    if not scores:
        return [member for _, member in found]
    return [part for score, member in found for part in (member, text_of(score))]


def _limited(words: Sequence[bytes]) -> tuple[list[bytes], slice]:
    """The options but for LIMIT, and what that leaves."""
    options = [word.upper() for word in words]
    if b"LIMIT" not in options:
        return options, slice(None)
    at = options.index(b"LIMIT")
    if len(options) < at + 3:
        raise StoreError(SYNTAX)
    start, count = number(options[at + 1]), number(options[at + 2])
    del options[at : at + 3]
    return options, slice(start, None if count < 0 else start + count)


COMMANDS: Final[dict[bytes, tuple[Command, int]]] = {
    b"ZADD": (zadd, 3),
    b"ZREM": (zrem, 2),
    b"ZCARD": (zcard, 1),
    b"ZCOUNT": (zcount, 3),
    b"ZSCORE": (zscore, 2),
    b"ZRANK": (zrank, 2),
    b"ZRANGE": (zrange, 3),
    b"ZRANGEBYSCORE": (zrangebyscore, 3),
    b"ZRANGEBYLEX": (zrangebylex, 3),
    b"ZREMRANGEBYSCORE": (zremrangebyscore, 3),
}
