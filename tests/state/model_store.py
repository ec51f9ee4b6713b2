"""The store of random schedules: keys on `NODES` servers, and a clock that the schedule sets."""

from __future__ import annotations

from typing import Any, Final, Protocol

from app.state.keys import SLOTS, slot_of

NODES: Final = 3


class ModelStore(Protocol):
    """What a schedule does with the store."""

    def reset(self) -> None:
        """Forget everything."""

    def set_time(self, now: int) -> None:
        """Set the clock by which scripts read the time, in milliseconds."""

    def carry_out(self, command: Any) -> Any:
        """Carry out a command or a `ScriptCall`; return its reply."""

    def names(self, node: int | None = None) -> list[bytes]:
        """The keys of one server, or of all, in order."""

    def members(self, name: bytes | str) -> set[bytes]:
        """The members of a set."""

    def keep(self, node: int) -> None:
        """Keep a copy of what a server holds now."""

    def put_back(self, node: int) -> None:
        """Replace what the server holds by the copy."""

    def drop_copy(self) -> None:
        """Forget the copy."""


def node_of(name: bytes) -> int:
    """The server of a key: each has a third of the slots."""
    return slot_of(tag_of(name)) * NODES // SLOTS


def tag_of(name: bytes | str) -> str:
    """The hash tag of a key."""
    text = name.decode() if isinstance(name, bytes) else name
    return text[text.index("{") + 1 : text.index("}")]


def words_of(command: Any) -> list[bytes]:
    """A command as Redis gets it."""
    return [w if isinstance(w, bytes) else str(w).encode() for w in command]
