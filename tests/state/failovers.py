"""Failovers of random schedules: a server is replaced by one that lacks its last writes."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from app.protocol.tenant import scoped
from tests.state.model_store import NODES

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from app.state.keys import Keys
    from tests.state.model_store import Part

COPY: Final = b"copy:"
SUBJECTS: Final = ("u0", "u1")
ADDRESSES: Final = ("a0", "a1")
TENANTS: Final = (None, "acme")


def caps_of(keys: Keys) -> list[str]:
    """The caps of all subjects and addresses of the schedules."""
    subjects = [keys.subject_cap(scoped(each, of)) for each in SUBJECTS for of in TENANTS]
    return subjects + [keys.address_cap(each) for each in ADDRESSES]


class Failovers:
    """`forgotten` is how many places of each cap were lost."""

    def __init__(self, part: Part, keys: Keys, dice: random.Random) -> None:
        self._part = part
        self._keys = keys
        self._dice = dice
        self._ids = list(range(NODES))
        self._node: int | None = None
        self._copied: list[bytes] = []
        self.forgotten: Counter[str] = Counter()

    def ids(self) -> dict[str, dict[str, str]]:
        """What all primaries say to `INFO replication`."""
        return {str(at): {"master_replid": str(each)} for at, each in enumerate(self._ids)}

    async def step(self) -> bool:
        """The first time, keep what one server holds now; the second time, go back to that."""
        if self._node is not None:
            await self._go_back()
            return True
        self._node = self._dice.randrange(NODES)
        self._copied = await self._part.names(self._node)
        if self._copied:
            await self._part.ask(*(("COPY", n, COPY + n, "REPLACE") for n in self._copied))
        return False

    async def end(self) -> None:
        """Forget what was kept: all of it has been replicated by now."""
        if self._node is not None and self._copied:
            await self._part.ask(("DEL", *(COPY + name for name in self._copied)))
        self._node = None

    async def _go_back(self) -> None:
        caps = caps_of(self._keys)
        before = await self._places(caps)
        now = await self._part.names(self._node)
        if now:
            await self._part.ask(("DEL", *now))
        if self._copied:
            await self._part.ask(*(("COPY", COPY + name, name) for name in self._copied))
        after = await self._places(caps)
        for cap in caps:
            self.forgotten[cap] += len(before[cap] - after[cap])
        assert self._node is not None
        self._ids[self._node] += NODES
        await self.end()

    async def _places(self, caps: Sequence[str]) -> dict[str, set[Any]]:
        names = await self._part.names()
        held: dict[str, set[Any]] = {}
        for cap in caps:
            sets = [n for n in names if f":cap:{cap}:".encode() in n]
            replies = await self._part.ask(*(("SMEMBERS", n) for n in sets)) if sets else []
            held[cap] = {each for reply in replies for each in reply}
        return held
