"""The commands on streams; `XREAD` that waits is the connection's matter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from app.state.local_store.commands import SYNTAX, number
from app.state.local_store.resp import StoreError
from app.state.local_store.streams import Id, Stream, id_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.state.local_store.commands import Command
    from app.state.local_store.keyspace import Keyspace


@dataclass(frozen=True, slots=True)
class Read:
    """What an `XREAD` asks for; `block` is in milliseconds (0: for ever), None: do not wait."""

    positions: dict[bytes, Id]
    count: int | None
    block: int | None

    def found(self, keys: Keyspace) -> list[object] | None:
        """The entries that are there now; None for none."""
        streams: list[object] = []
        for key, position in self.positions.items():
            stream = keys.get(key, Stream)
            if stream is not None and (entries := stream.after(position, self.count)):
                streams.append([key, entries])
        return streams or None


def read_request(keys: Keyspace, words: Sequence[bytes]) -> Read:
    """Read the words of an `XREAD`; `$` is the last entry that there is now."""
    count: int | None = None
    block: int | None = None
    options = iter(enumerate(words))
    for at, word in options:
        name = word.upper()
        if name == b"STREAMS":
            names = words[at + 1 :]
            half = len(names) // 2
            if not half or len(names) % 2:
                raise StoreError("ERR Unbalanced 'xread' list of streams")
            positions = {
                key: _position(keys, key, wanted)
                for key, wanted in zip(names[:half], names[half:], strict=True)
            }
            return Read(positions, count, block)
        value = number(next(options, (0, b""))[1])
        if name == b"COUNT":
            count = value
        elif name == b"BLOCK":
            block = value
        else:
            raise StoreError(SYNTAX)
    raise StoreError(SYNTAX)


def _position(keys: Keyspace, key: bytes, wanted: bytes) -> Id:
    if wanted != b"$":
        return id_of(wanted)
    stream = keys.get(key, Stream)
    return (0, 0) if stream is None else stream.last


def xadd(keys: Keyspace, words: Sequence[bytes]) -> object:
    """XADD, with NOMKSTREAM, MAXLEN and MINID; `~` is taken as `=`."""
    key, rest = words[0], list(words[1:])
    make, trim = True, None
    while rest and rest[0].upper() in {b"NOMKSTREAM", b"MAXLEN", b"MINID"}:
        if rest[0].upper() == b"NOMKSTREAM":
            make = False
            del rest[0]
        else:
            trim, rest = _trimming(rest)
    if len(rest) < 3 or len(rest) % 2 == 0:  # noqa: PLR2004 - an id, and pairs
        raise StoreError("ERR wrong number of arguments for 'xadd' command")
    found = keys.get(key, Stream)
    if found is None and not make:
        return None
    stream = Stream() if found is None else found
    entry_id = stream.add(rest[0], rest[1:], keys.clock())
    if found is None:
        keys.put(key, stream)
    if trim is not None:
        _trim(stream, trim)
    return entry_id


def xtrim(keys: Keyspace, words: Sequence[bytes]) -> object:
    """XTRIM, by MAXLEN or MINID."""
    trim, rest = _trimming(list(words[1:]))
    if rest:
        raise StoreError(SYNTAX)
    stream = keys.get(words[0], Stream)
    return 0 if stream is None else _trim(stream, trim)


def _trimming(words: list[bytes]) -> tuple[tuple[bytes, bytes], list[bytes]]:
    """The way to trim, and the words behind it."""
    name, rest = words[0].upper(), words[1:]
    if rest and rest[0] in {b"~", b"="}:
        rest = rest[1:]
    if not rest or name not in {b"MAXLEN", b"MINID"}:
        raise StoreError(SYNTAX)
    return (name, rest[0]), rest[1:]


def _trim(stream: Stream, trim: tuple[bytes, bytes]) -> int:
    name, value = trim
    return stream.trim_to(number(value)) if name == b"MAXLEN" else stream.trim_before(id_of(value))


def xlen(keys: Keyspace, words: Sequence[bytes]) -> object:
    """XLEN."""
    stream = keys.get(words[0], Stream)
    return 0 if stream is None else len(stream)


def xrange(keys: Keyspace, words: Sequence[bytes]) -> object:
    """XRANGE, with COUNT."""
    return _range(keys, words[0], words[1], words[2], words[3:], newest_first=False)


def xrevrange(keys: Keyspace, words: Sequence[bytes]) -> object:
    """XREVRANGE, with COUNT."""
    return _range(keys, words[0], words[2], words[1], words[3:], newest_first=True)


def _range(
    keys: Keyspace,
    key: bytes,
    first: bytes,
    last: bytes,
    options: Sequence[bytes],
    *,
    newest_first: bool,
) -> list[list[object]]:
    if options and (len(options) != 2 or options[0].upper() != b"COUNT"):  # noqa: PLR2004
        raise StoreError(SYNTAX)
    count = number(options[1]) if options else None
    stream = keys.get(key, Stream)
    if stream is None:
        return []
    end = id_of(last, sequence=2**64)
    return stream.between(id_of(first), end, count, newest_first=newest_first)


COMMANDS: Final[dict[bytes, tuple[Command, int]]] = {
    b"XADD": (xadd, 4),
    b"XTRIM": (xtrim, 3),
    b"XLEN": (xlen, 1),
    b"XRANGE": (xrange, 3),
    b"XREVRANGE": (xrevrange, 3),
}
