"""The commands on strings, hashes and keys; those of other kinds are in modules of their own.

Each takes the keyspace and the words behind its name, and returns the reply, or raises
`StoreError`. What the gateway does not use is not here: it is an unknown command.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from app.state.local_store.resp import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.state.local_store.keyspace import Keyspace

    Command = Callable[[Keyspace, Sequence[bytes]], object]

SYNTAX: Final = "ERR syntax error"
WHOLE: Final = "ERR value is not an integer or out of range"


def number(value: bytes) -> int:
    """A whole number from its text. Raises `StoreError`."""
    try:
        return int(value)
    except ValueError:
        raise StoreError(WHOLE) from None


def ping(_: Keyspace, words: Sequence[bytes]) -> object:
    """PING."""
    return words[0] if words else "PONG"


def client(_: Keyspace, __: Sequence[bytes]) -> object:
    """CLIENT SETNAME: names are of no use here."""
    return "OK"


def info(keys: Keyspace, _: Sequence[bytes]) -> object:
    """INFO replication: the one id of a primary without replicas, another one after each start."""
    return b"# Replication\r\nrole:master\r\nmaster_replid:%b\r\n" % keys.identity


def time(keys: Keyspace, _: Sequence[bytes]) -> object:
    """TIME: seconds, and microseconds, by the clock that leases end by."""
    now = keys.clock()
    return [b"%d" % (now // 1000), b"%d" % (now % 1000 * 1000)]


def get(keys: Keyspace, words: Sequence[bytes]) -> object:
    """GET."""
    return keys.get(words[0], bytes)


def getdel(keys: Keyspace, words: Sequence[bytes]) -> object:
    """GETDEL."""
    value = keys.get(words[0], bytes)
    keys.delete(words[0])
    return value


def mget(keys: Keyspace, words: Sequence[bytes]) -> object:
    """MGET."""
    return [keys.get(key, bytes) for key in words]


def put(keys: Keyspace, words: Sequence[bytes]) -> object:
    """SET, with NX, XX, KEEPTTL, EX, PX, EXAT and PXAT."""
    key, value, at, only, keep = words[0], words[1], None, b"", False
    options = iter(words[2:])
    for option in map(bytes.upper, options):
        if option in {b"NX", b"XX"}:
            only = option
        elif option == b"KEEPTTL":
            keep = True
        elif option in {b"EX", b"PX", b"EXAT", b"PXAT"}:
            given = number(next(options, b""))
            at = given * (1000 if option[:2] == b"EX" else 1)
            if given <= 0:
                raise StoreError("ERR invalid expire time in 'set' command")
            at += 0 if option.endswith(b"AT") else keys.clock()
        else:
            raise StoreError(SYNTAX)
    there = keys.get(key, object) is not None
    if only and there is (only == b"NX"):
        return None
    kept = keys.expiry(key) if keep else None
    keys.put(key, value)
    if (at := at or kept) is not None:
        keys.expire(key, at)
    return "OK"


def incr(keys: Keyspace, words: Sequence[bytes]) -> object:
    """INCR; an expiry stays."""
    value = number(keys.get(words[0], bytes) or b"0") + 1
    put(keys, (words[0], b"%d" % value, b"KEEPTTL"))
    return value


def delete(keys: Keyspace, words: Sequence[bytes]) -> object:
    """DEL, and UNLINK."""
    return sum(keys.get(key, object) is not None and keys.delete(key) for key in words)


def exists(keys: Keyspace, words: Sequence[bytes]) -> object:
    """EXISTS."""
    return sum(keys.get(key, object) is not None for key in words)


def pexpire(keys: Keyspace, words: Sequence[bytes]) -> object:
    """PEXPIRE."""
    return int(keys.expire(words[0], keys.clock() + number(words[1])))


def pexpireat(keys: Keyspace, words: Sequence[bytes]) -> object:
    """PEXPIREAT."""
    return int(keys.expire(words[0], number(words[1])))


def pttl(keys: Keyspace, words: Sequence[bytes]) -> object:
    """PTTL: milliseconds, -1 for a key that does not expire, -2 for none."""
    if keys.get(words[0], object) is None:
        return -2
    at = keys.expiry(words[0])
    return -1 if at is None else max(0, at - keys.clock())


def _hash(keys: Keyspace, key: bytes, *, make: bool = False) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] | None = keys.get(key, dict)
    if found is None:
        found = {}
        if make:
            keys.put(key, found)
    return found


def hget(keys: Keyspace, words: Sequence[bytes]) -> object:
    """HGET."""
    return _hash(keys, words[0]).get(words[1])


def hmget(keys: Keyspace, words: Sequence[bytes]) -> object:
    """HMGET."""
    found = _hash(keys, words[0])
    return [found.get(field) for field in words[1:]]


def hgetall(keys: Keyspace, words: Sequence[bytes]) -> object:
    """HGETALL, in one reply; HSCAN, too, for all is one page."""
    return [part for pair in _hash(keys, words[0]).items() for part in pair]


def hscan(keys: Keyspace, words: Sequence[bytes]) -> object:
    """HSCAN: all fields at once, which COUNT allows: it is a hint."""
    return [b"0", hgetall(keys, words)]


def hset(keys: Keyspace, words: Sequence[bytes]) -> object:
    """HSET."""
    pairs = words[1:]
    if not pairs or len(pairs) % 2:
        raise StoreError("ERR wrong number of arguments for 'hset' command")
    found = _hash(keys, words[0], make=True)
    before = len(found)
    found.update(zip(pairs[::2], pairs[1::2], strict=True))
    return len(found) - before


def hsetnx(keys: Keyspace, words: Sequence[bytes]) -> object:
    """HSETNX."""
    found = _hash(keys, words[0], make=True)
    if words[1] in found:
        return 0
    found[words[1]] = words[2]
    return 1


def hincrby(keys: Keyspace, words: Sequence[bytes]) -> object:
    """HINCRBY."""
    found = _hash(keys, words[0], make=True)
    value = number(found.get(words[1], b"0")) + number(words[2])
    found[words[1]] = b"%d" % value
    return value


def hdel(keys: Keyspace, words: Sequence[bytes]) -> object:
    """HDEL."""
    found = _hash(keys, words[0])
    gone = sum(found.pop(field, None) is not None for field in words[1:])
    if gone and not found:
        keys.delete(words[0])
    return gone


def hkeys(keys: Keyspace, words: Sequence[bytes]) -> object:
    """HKEYS."""
    return list(_hash(keys, words[0]))


def hlen(keys: Keyspace, words: Sequence[bytes]) -> object:
    """HLEN."""
    return len(_hash(keys, words[0]))


COMMANDS: Final[dict[bytes, tuple[Command, int]]] = {
    b"PING": (ping, 0),
    b"INFO": (info, 1),
    b"CLIENT": (client, 1),
    b"SELECT": (client, 1),
    b"TIME": (time, 0),
    b"GET": (get, 1),
    b"GETDEL": (getdel, 1),
    b"MGET": (mget, 1),
    b"SET": (put, 2),
    b"INCR": (incr, 1),
    b"DEL": (delete, 1),
    b"UNLINK": (delete, 1),
    b"EXISTS": (exists, 1),
    b"PEXPIRE": (pexpire, 2),
    b"PEXPIREAT": (pexpireat, 2),
    b"PTTL": (pttl, 1),
    b"HGET": (hget, 2),
    b"HMGET": (hmget, 2),
    b"HGETALL": (hgetall, 1),
    b"HSCAN": (hscan, 2),
    b"HSET": (hset, 3),
    b"HSETNX": (hsetnx, 3),
    b"HINCRBY": (hincrby, 3),
    b"HDEL": (hdel, 2),
    b"HKEYS": (hkeys, 1),
    b"HLEN": (hlen, 1),
}
"""By its name: what it does, and how many words it needs at least."""
