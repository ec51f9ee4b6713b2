"""One end of a bridge, without I/O: items in, numbered entries out; entries in, items out.

A bridge is two Redis streams, one each way. Each stream has one writer, which numbers its
entries 1, 2, 3, … as their ids (`n-0`). So an entry may be written again after a time-out
without being there twice, and a reader that misses one knows it.

The reader confirms the entries that it has done with, in the stream the other way. What is
not confirmed is the writer's to bound: no entry with frames is written while more than a
window of bytes is under way. Confirmations are never held back, or two full streams would wait
for each other.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from app.protocol.errors import RelayError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ENTRY_SIZE: Final = 64 * 1024
CONFIRM_SIZE: Final = 32 * 1024
# What an item costs beside its bytes, so that a flood of tiny frames is bounded too.
OVERHEAD: Final = 64
_CONFIRMED: Final = b"a"


class ItemKind(Enum):
    """What an item is. `FRAME` holds a text message, `BINARY` the size of one that is dropped."""

    FRAME = b"f"
    BINARY = b"n"
    CLOSE = b"c"
    ABORT = b"x"
    ENDED = b"e"


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that one end says to the other."""

    kind: ItemKind
    value: bytes = b""

    @property
    def size(self) -> int:
        """What it counts for in a window, in bytes: only frames do, all else must get through."""
        return len(self.value) + OVERHEAD if self.kind is ItemKind.FRAME else 0


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a stream. `size` is the bytes of its frames; `fields` what Redis keeps."""

    number: int
    size: int
    fields: tuple[bytes, ...]


class StreamBroken(RelayError):  # noqa: N818
    """An entry is missing or cannot be read: whatever came before it is whole."""


class ReliableStream:
    """One end: the writer of one stream and the reader of the other.

    Times are seconds of any one clock that only grows.
    """

    def __init__(self, *, now: float, window: int, beat: float) -> None:
        self._window = window
        self._beat = beat
        # Out: items that wait, entries that are not known to be written, and not yet confirmed.
        self._items: deque[Item] = deque()
        self._unwritten: deque[Entry] = deque()
        self._unconfirmed: deque[Entry] = deque()
        self._last = 0
        self._trimmed = 0
        self._said_at = now - beat
        self._waiting = 0
        self._under_way = 0
        # In: the last entry received and done with; bytes done with and not confirmed.
        self._received = 0
        self._done = 0
        self._done_size = 0
        self.last_received_at = now

    @property
    def waiting(self) -> int:
        """Bytes of frames that were put and are not confirmed, with `OVERHEAD` for each."""
        return self._waiting

    @property
    def position(self) -> bytes:
        """The id after which to read."""
        return b"%d-0" % self._received

    @property
    def idle(self) -> bool:
        """Whether everything that was put is written."""
        return not self._items and not self._unwritten

    @property
    def heard(self) -> bool:
        """Whether the other end has said anything yet."""
        return self._received > 0

    def put(self, item: Item) -> None:
        """Say something."""
        self._items.append(item)
        self._waiting += item.size

    def drop(self) -> None:
        """Discard what is queued and not yet written."""
        self._waiting -= sum(item.size for item in self._items)
        self._items.clear()

    def entries(self, now: float) -> Sequence[Entry]:
        """Say what to write now, oldest first, the unwritten ones of last time included."""
        while self._items and self._fits(self._items[0]):
            self._form(now)
        if not self._unwritten and self.due(now):
            self._form(now)
        return tuple(self._unwritten)

    def wrote(self, entries: Iterable[Entry]) -> None:
        """Take note that these entries, which `entries` gave, are in the stream."""
        for entry in entries:
            while self._unwritten and self._unwritten[0].number <= entry.number:
                self._unwritten.popleft()

    def evict(self) -> int | None:
        """Name the first number worth keeping in the stream, if it has changed since last time."""
        first = self._unconfirmed[0].number if self._unconfirmed else self._last + 1
        if first == self._trimmed:
            return None
        self._trimmed = first
        return first

    def take(self, number: int, fields: Sequence[bytes], now: float) -> list[Item]:
        """Read one entry. Raises `StreamBroken`."""
        if number != self._received + 1:
            raise StreamBroken("an entry is missing")
        self._received = number
        self.last_received_at = now
        items = []
        for name, value in zip(fields[::2], fields[1::2], strict=False):
            if name == _CONFIRMED:
                self._let_go(value)
            else:
                items.append(_item(name, value))
        return items

    def done(self, number: int, size: int) -> bool:
        """Be done with all entries up to `number`, `size` bytes more; True if that is to be said.

        Less is said by the next beat.
        """
        self._done = max(self._done, number)
        self._done_size += size
        return self._done_size >= CONFIRM_SIZE

    @property
    def received(self) -> int:
        """The number of the last entry received."""
        return self._received

    def due(self, now: float) -> bool:
        """Whether there is something to say at this time: a beat, or a late confirmation."""
        return now - self._said_at >= self._beat or self._done_size > 0

    def _fits(self, item: Item) -> bool:
        return self._under_way == 0 or self._under_way + item.size <= self._window

    def _form(self, now: float) -> None:
        """Make one entry: the confirmation, and as many items as fit."""
        fields: list[bytes] = [_CONFIRMED, b"%d" % self._done]
        self._done_size = 0
        size = 0
        while self._items and size < ENTRY_SIZE and self._fits(self._items[0]):
            item = self._items.popleft()
            fields += (item.kind.value, item.value)
            size += item.size
            self._under_way += item.size
        self._last += 1
        entry = Entry(self._last, size, tuple(fields))
        self._unwritten.append(entry)
        self._unconfirmed.append(entry)
        self._said_at = now

    def _let_go(self, value: bytes) -> None:
        try:
            confirmed = int(value)
        except ValueError:
            raise StreamBroken("a confirmation is no number") from None
        while self._unconfirmed and self._unconfirmed[0].number <= confirmed:
            entry = self._unconfirmed.popleft()
            self._waiting -= entry.size
            self._under_way -= entry.size


def _item(name: bytes, value: bytes) -> Item:
    try:
        return Item(ItemKind(name), value)
    except ValueError:
        raise StreamBroken("an item of an unknown kind") from None
