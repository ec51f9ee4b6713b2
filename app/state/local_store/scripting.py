"""`EVAL` and `EVALSHA`: Lua 5.1, as Redis has it, whose `redis.call` is answered here.

A script that fails in its midst leaves what it has written, as in Redis. Scripts come from this
program alone: they are not confined as Redis confines those of strangers.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from lupa import lua51  # type: ignore[import-untyped]

from app.state.local_store.resp import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MAX_SCRIPTS: Final = 1_000
# Answers of `call` are a table {value} or {nil, error}, so that a failure is Lua's own error.
_PRELUDE: Final = b"""
local call = ...
local function asked(...)
  local answer = call(...)
  if answer[2] then error(answer[2], 0) end
  return answer[1]
end
redis = {call = asked}
"""


class Scripts:
    """Runs scripts; `call` carries one command out, and returns its reply or raises `StoreError`.

    A reply's types are those of `app.state.local_store.resp`.
    """

    def __init__(self, call: Callable[[list[bytes]], object]) -> None:
        self._call = call
        self._lua = lua51.LuaRuntime(encoding=None, register_eval=False, register_builtins=False)
        self._known: dict[bytes, Any] = {}
        self._lua.execute(_PRELUDE, self._asked)

    def run(self, text: bytes, words: Sequence[bytes]) -> object:
        """EVAL: `words` are the number of keys, the keys and the arguments."""
        sha = hashlib.sha1(text, usedforsecurity=False).hexdigest().encode()
        if sha not in self._known:
            if len(self._known) >= MAX_SCRIPTS:
                self._known.clear()
            source = b"return function(KEYS, ARGV)\n" + text + b"\nend"
            try:
                self._known[sha] = self._lua.execute(source)
            except lua51.LuaError:
                raise StoreError("ERR Error compiling script") from None
        return self.run_known(sha, words)

    def run_known(self, sha: bytes, words: Sequence[bytes]) -> object:
        """EVALSHA."""
        script = self._known.get(sha.lower())
        if script is None:
            raise StoreError("NOSCRIPT No matching script. Please use EVAL.")
        try:
            count = int(words[0])
        except ValueError:
            raise StoreError("ERR value is not an integer or out of range") from None
        if not 0 <= count < len(words):
            raise StoreError("ERR Number of keys can't be greater than number of args")
        keys, arguments = words[1 : 1 + count], words[1 + count :]
        try:
            answer = script(self._lua.table_from(keys), self._lua.table_from(arguments))
        except lua51.LuaError as error:
            raise StoreError(f"ERR Error running script: {_first_line(error)}") from None
        return _from_lua(answer)

    def _asked(self, *words: object) -> Any:
        try:
            return self._lua.table_from([self._to_lua(self._call([_word(word) for word in words]))])
        except StoreError as error:
            return self._lua.table_from({1: False, 2: str(error).encode()})

    def _to_lua(self, reply: object) -> Any:
        if reply is None:
            return False
        if isinstance(reply, str):
            return self._lua.table_from({b"ok": reply.encode()})
        if isinstance(reply, list):
            return self._lua.table_from([self._to_lua(item) for item in reply])
        return reply


def _word(value: object) -> bytes:
    """A word of a command from Lua: Redis writes numbers as `%.17g`."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise StoreError("ERR Lua redis lib command arguments must be strings or integers")
    return b"%d" % value if value == int(value) else b"%.17g" % value


def _from_lua(value: Any) -> object:
    """A script's result as a reply: a table up to its first nil, a number without its fraction."""
    if value is None or value is False:
        return None
    if value is True:
        return 1
    if isinstance(value, float):
        return int(value)
    if isinstance(value, int | bytes):
        return value
    if (error := value[b"err"]) is not None:
        return StoreError(error.decode(errors="replace"))
    if (said := value[b"ok"]) is not None:
        return said.decode(errors="replace")
    found: list[object] = []
    while (item := value[len(found) + 1]) is not None:
        found.append(_from_lua(item))
    return found


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]
