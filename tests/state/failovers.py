"""Failovers of random schedules: a server is replaced by its replica, which lacks its last writes."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from tests.state.model_store import NODES, node_of

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from app.state.interface import SessionRow
    from app.state.keys import Keys
    from tests.state.model_store import Part

COPY: Final = b"copy:"
SUBJECTS: Final = ("u0", "u1")
ADDRESSES: Final = ("a0", "a1")


class Failovers:
    """`forgotten` is how many places of each cap were lost, or may have been freed by mistake."""

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

    async def step(self, live: Sequence[SessionRow]) -> bool:
        """The first time, keep what one server holds now; the second time, go back to that."""
        if self._node is not None:
            await self._go_back(live)
            return True
        self._node = self._dice.randrange(NODES)
        self._copied = await self._part.names(self._node)
        if self._copied:
            await self._part.ask(*(("COPY", n, COPY + n, "REPLACE") for n in self._copied))
        return False

    async def end(self, live: Sequence[SessionRow]) -> None:
        """Forget what was kept: all of it has been replicated by now."""
        del live
        if self._node is not None and self._copied:
            await self._part.ask(("DEL", *(COPY + name for name in self._copied)))
        self._node = None

    async def _go_back(self, live: Sequence[SessionRow]) -> None:
        caps = [self._keys.subject_cap(each) for each in SUBJECTS]
        caps += [self._keys.address_cap(each) for each in ADDRESSES]
        owners = self._keys.owners("alive")
        before = await self._places(caps), await self._part.carry_out(("ZRANGE", owners, 0, -1))
        now = await self._part.names(self._node)
        if now:
            await self._part.ask(("DEL", *now))
        if self._copied:
            await self._part.ask(*(("COPY", COPY + name, name) for name in self._copied))
        after = await self._places(caps), await self._part.carry_out(("ZRANGE", owners, 0, -1))
        for cap in caps:
            self.forgotten[cap] += len(before[0][cap] - after[0][cap])
        if set(before[1]) - set(after[1]):
            # Others take a living owner for dead until it beats again.
            for row in live:
                self.forgotten[self._keys.subject_cap(row.subject_scope)] += 1
                self.forgotten[self._keys.address_cap(row.address)] += 1
        assert self._node is not None
        self._ids[self._node] += NODES
        await self.end(live)

    async def _places(self, caps: Sequence[str]) -> dict[str, set[Any]]:
        names = await self._part.names()
        held: dict[str, set[Any]] = {}
        for cap in caps:
            sets = [n for n in names if f":cap:{cap}:".encode() in n]
            replies = await self._part.ask(*(("SMEMBERS", n) for n in sets)) if sets else []
            held[cap] = {each for reply in replies for each in reply}
        return held


assert node_of(b"{m0:owners}:x") < NODES
