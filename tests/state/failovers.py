"""Failovers of random schedules: a server is replaced by one that lacks its last writes."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from app.protocol.tenant import scoped
from tests.state.model_store import NODES

if TYPE_CHECKING:
    import random

    from app.state.keys import Keys
    from tests.state.model_store import ModelStore

SUBJECTS: Final = ("u0", "u1")
ADDRESSES: Final = ("a0", "a1")
TENANTS: Final = (None, "acme")


def caps_of(keys: Keys) -> list[str]:
    """The caps of all subjects and addresses of the schedules."""
    subjects = [keys.subject_cap(scoped(each, of)) for each in SUBJECTS for of in TENANTS]
    return subjects + [keys.address_cap(each) for each in ADDRESSES]


class Failovers:
    """`forgotten` is how many places of each cap were lost."""

    def __init__(self, store: ModelStore, keys: Keys, dice: random.Random) -> None:
        self._store = store
        self._keys = keys
        self._dice = dice
        self._ids = list(range(NODES))
        self._node: int | None = None
        self.forgotten: Counter[str] = Counter()

    def ids(self) -> dict[str, dict[str, str]]:
        """What all primaries say to `INFO replication`."""
        return {str(at): {"master_replid": str(each)} for at, each in enumerate(self._ids)}

    def step(self) -> bool:
        """The first time, keep what one server holds now; the second time, go back to that."""
        if self._node is not None:
            self._go_back(self._node)
            return True
        self._node = self._dice.randrange(NODES)
        self._store.keep(self._node)
        return False

    def end(self) -> None:
        """Forget what was kept: all of it has been replicated by now."""
        if self._node is not None:
            self._store.drop_copy()
        self._node = None

    def _go_back(self, node: int) -> None:
        before = self._places()
        self._store.put_back(node)
        after = self._places()
        for cap, held in before.items():
            self.forgotten[cap] += len(held - after[cap])
        self._ids[node] += NODES
        self.end()

    def _places(self) -> dict[str, set[bytes]]:
        names = self._store.names()
        held: dict[str, set[bytes]] = {}
        for cap in caps_of(self._keys):
            part = f":cap:{cap}:".encode()
            held[cap] = set().union(*(self._store.members(n) for n in names if part in n))
        return held
