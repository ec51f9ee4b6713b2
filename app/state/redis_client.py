"""Redis by redis-py: every call has a deadline, every failure is `StoreUnavailable`."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from redis.exceptions import NoScriptError, RedisError

from app.protocol.errors import StateReadOnly, StoreUnavailable
from app.state.concurrency_limit import ConcurrencyLimit
from app.state.connector import is_read_only
from app.state.deadline import Deadline
from app.state.diagnosis import explain

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from app.state.connector import Connector
    from app.state.scripts import Script

Command = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class ScriptCall:
    """A script with its keys, all of one slot, and arguments."""

    script: Script
    keys: Sequence[str]
    args: Sequence[str | bytes | int]

    def command(self, *, in_full: bool = False) -> Command:
        """As a command; `in_full` where Redis does not know the script yet."""
        head = ("EVAL", self.script.text) if in_full else ("EVALSHA", self.script.sha)
        return (*head, len(self.keys), *self.keys, *self.args)


class RedisClient:
    """A bounded pool of connections to the store, and a line of calls before it.

    `timeout` is in seconds, and bounds how long the store may be silent while a call is with it:
    dialling, writing and reading. A call that waits for a free connection fails as soon as
    another one finds the store silent, and no sooner: a crowd is no outage. Nothing is tried
    twice: the caller can say no sooner than a second attempt could succeed. `patience` is how
    long, in seconds, the commands themselves may block (`XREAD BLOCK`). `on_error` is called
    with the operation's name, from a closed set, before `StoreUnavailable` is raised.
    """

    def __init__(
        self,
        connector: Connector,
        *,
        timeout: float,
        connections: int,
        patience: float = 0.0,
        on_error: Callable[[str], None],
    ) -> None:
        self._timeout = timeout
        self._deadline = timeout + patience
        self._on_error = on_error
        self._limit = ConcurrencyLimit(connections)
        # Of commands that block, one's answer says nothing about another's silence.
        self._answers = 0
        self._connector = connector
        self._backend = backend = connector.backend(connections)
        self._heard = (lambda: 0) if patience else (lambda: self._answers + backend.answers)

    async def call(self, operation: str, *command: Any) -> Any:
        """Run one command."""
        async with self._asking(operation):
            return await self._backend.execute(*command)

    async def script(
        self,
        operation: str,
        script: Script,
        keys: Sequence[str],
        args: Sequence[str | bytes | int],
    ) -> Any:
        """Run one script, in one round trip, or two where Redis did not know it yet."""
        tail = (len(keys), *keys, *args)
        async with self._asking(operation):
            try:
                return await self._backend.execute("EVALSHA", script.sha, *tail)
            except NoScriptError:
                return await self._backend.execute("EVAL", script.text, *tail)

    async def batch(self, operation: str, commands: Sequence[Command]) -> list[Any]:
        """Run commands in one round trip, in order, not as a transaction."""
        return await self._pipeline(operation, commands)

    async def run(
        self,
        operation: str,
        calls: Sequence[Command | ScriptCall],
        *,
        first_alone: bool = False,
    ) -> list[Any]:
        """Run commands and scripts in one round trip, in order within a slot, or within one Redis.

        With `first_alone` the first is done before any other begins, whatever their slots. Scripts
        that Redis did not know yet run after all others.
        """
        if first_alone and self._connector.is_cluster and len(calls) > 1:
            head = await self.run(operation, calls[:1])
            return head + await self.run(operation, calls[1:])
        commands = [each.command() if isinstance(each, ScriptCall) else each for each in calls]
        replies = await self._pipeline(operation, commands, passes=_unknown)
        unknown = {
            at: call.command(in_full=True)
            for at, (call, reply) in enumerate(zip(calls, replies, strict=True))
            if isinstance(call, ScriptCall) and isinstance(reply, NoScriptError)
        }
        if unknown:
            again = await self._pipeline(operation, list(unknown.values()))
            for at, reply in zip(unknown, again, strict=True):
                replies[at] = reply
        return replies

    async def append(self, operation: str, commands: Sequence[Command]) -> None:
        """Run a batch whose `XADD`s name their ids: one that is there already was written before.

        The batch may be repeated after `StoreUnavailable`, which leaves open what was done.
        """
        await self._pipeline(operation, commands, passes=_already_there)

    async def close(self) -> None:
        """Close every connection."""
        try:
            async with asyncio.timeout(self._timeout):
                await self._backend.close()
                await self._connector.close()
        except (RedisError, OSError, TimeoutError) as error:
            self._lost("close", error)

    async def _pipeline(
        self,
        operation: str,
        commands: Sequence[Command],
        passes: Callable[[RedisError], bool] = lambda _: False,
    ) -> list[Any]:
        async with self._asking(operation):
            replies = await self._backend.pipeline(commands)
        for reply in replies:
            if isinstance(reply, RedisError) and not passes(reply):
                raise self._lost(operation, reply) from reply
        return replies

    @asynccontextmanager
    async def _asking(self, operation: str) -> AsyncIterator[None]:
        """Wait for a place, then for the answer; whatever goes wrong is `StoreUnavailable`."""
        try:
            await self._limit.acquire()
            try:
                async with Deadline(self._deadline, self._heard) as deadline:
                    yield
                self._answers += 1
            finally:
                if deadline.silent:
                    self._limit.reject_waiters()
                self._limit.release()
        except (RedisError, OSError, TimeoutError) as error:
            raise self._lost(operation, error) from error

    def _lost(self, operation: str, error: Exception) -> StoreUnavailable:
        """Name the fault by its class alone: the text may hold a host or a key."""
        self._on_error(operation)
        if is_read_only(error):
            return StateReadOnly(f"{operation}: {type(error).__name__}")
        return StoreUnavailable(f"{operation}: {type(error).__name__}", explain(error))


def milliseconds(seconds: float) -> int:
    """Say a time as Redis wants it: whole, and never none at all."""
    return max(1, round(seconds * 1000))


def _unknown(error: RedisError) -> bool:
    return isinstance(error, NoScriptError)


def _already_there(error: RedisError) -> bool:
    return "equal or smaller than the target stream top item" in str(error)
