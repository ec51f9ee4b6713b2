"""The store of random schedules within the process.

It is the product's own store of workers (`app.state.local_store`), which runs the text of the
product's scripts in Lua 5.1.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from app.state.local_store.keyspace import Keyspace
from app.state.local_store.resp import StoreError
from app.state.local_store.server import LocalStore
from app.state.local_store.sorted_set import SortedSet
from app.state.owners import BEAT_OWNER
from app.state.redis_client import ScriptCall
from tests.state.model_store import node_of, words_of

if TYPE_CHECKING:
    from collections.abc import Iterable


class MemoryStore:
    """The keys in this process."""

    def __init__(self) -> None:
        self._now = 0
        self._keys = _Keys(lambda: self._now)
        self._store = LocalStore(self._keys)
        self._known: dict[str, bytes] = {}
        self._copy: dict[bytes, tuple[Any, int | None]] = {}

    def reset(self) -> None:
        self._keys.forget(self._keys.names())
        self._copy = {}

    def set_time(self, now: int) -> None:
        self._now = now

    def carry_out(self, command: Any) -> Any:
        if isinstance(command, ScriptCall):
            script = command.script
            if script is BEAT_OWNER:  # two thirds of all scripts: Lua takes ten times as long
                return self._beat(command)
            name = b"EVALSHA" if script.sha in self._known else b"EVAL"
            text = self._known.get(script.sha, script.text.encode())
            self._known[script.sha] = script.sha.encode()
            words = [name, text, b"%d" % len(command.keys), *words_of(command.keys)]
            reply = self._store.answer([*words, *words_of(command.args)])
        else:
            reply = self._store.answer(words_of(command))
        assert not isinstance(reply, StoreError), (command, reply)
        return reply

    def _beat(self, call: ScriptCall) -> list[Any]:
        """What `BEAT_OWNER` does. Real Redis, which runs its text, must come to the same."""
        alive, dead, died, last, guard = map(str.encode, call.keys)
        owner = str(call.args[0]).encode()
        is_new, late, guarded, silence, claimed, most = map(int, call.args[1:])
        keys, now = self._keys, self._now
        before = keys.get(last, bytes)
        if before and now - int(before) > silence:
            keys.put(guard, b"%d" % (now + guarded))
        keys.put(last, b"%d" % now)
        living = keys.sorted_set(alive)
        known = 1
        if not is_new and owner not in living.scores:
            if owner in keys.sorted_set(dead).scores:
                return [0, b"", 0]
            known = 2
        living.add(owner, now)
        keys.put(alive, living)
        if int(keys.get(guard, bytes) or 0) > now:
            return [known, b"", 0]
        buried = living.at(living.by_score((float("-inf"), False), (now - late, True)))[:most]
        for _, each in buried:
            living.remove(each)
            keys.add(dead, each, now)
            keys.set_field(died, each, b"%d" % now)
        graves = keys.sorted_set(dead)
        due = graves.at(graves.by_score((float("-inf"), False), (now, False)))[:1]
        if not due:
            return [known, b"", 0]
        found = due[0][1]
        graves.add(found, now + claimed)
        since = (keys.get(died, dict) or {}).get(found, b"%d" % now)
        return [known, found, now - int(since)]

    def names(self, node: int | None = None) -> list[bytes]:
        return [name for name in self._keys.names() if node is None or node_of(name) == node]

    def members(self, name: bytes | str) -> set[bytes]:
        key = name if isinstance(name, bytes) else name.encode()
        return set(self._keys.get(key, set) or ())

    def keep(self, node: int) -> None:
        self._copy = self._keys.copied(self.names(node))

    def put_back(self, node: int) -> None:
        self._keys.forget(self.names(node))
        self._keys.restore(self._copy)

    def drop_copy(self) -> None:
        self._copy = {}


class _Keys(Keyspace):
    """Keys that can be listed and copied."""

    def sorted_set(self, name: bytes) -> SortedSet:
        return self.get(name, SortedSet) or SortedSet()

    def add(self, name: bytes, member: bytes, score: float) -> None:
        kept = self.sorted_set(name)
        kept.add(member, score)
        self.put(name, kept)

    def set_field(self, name: bytes, field: bytes, value: bytes) -> None:
        self.put(name, {**(self.get(name, dict) or {}), field: value})

    def names(self) -> list[bytes]:
        self.sweep()
        return sorted(self._values)

    def forget(self, names: Iterable[bytes]) -> None:
        for name in names:
            self.delete(name)
        if not self._values:
            self._due.clear()

    def copied(self, names: Iterable[bytes]) -> dict[bytes, tuple[Any, int | None]]:
        return {name: (_copy(self._values[name]), self._expiries.get(name)) for name in names}

    def restore(self, kept: dict[bytes, tuple[Any, int | None]]) -> None:
        for name, (value, expiry) in kept.items():
            self.put(name, value)
            if expiry is not None:
                self.expire(name, expiry)


def _copy(value: Any) -> Any:
    return copy.copy(value) if isinstance(value, dict | set | bytes) else copy.deepcopy(value)
