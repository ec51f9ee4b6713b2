"""A replica of random schedules: the product's code, each of whose commands is a step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from app.protocol.errors import StoreUnavailable
from app.state.interface import Caps
from app.state.redis_client import ScriptCall

if TYPE_CHECKING:
    import random
    from collections.abc import Coroutine, Sequence

    from app.state.interface import SessionRow
    from app.state.owners import Owners
    from app.state.session_registry import SessionRegistry
    from app.state.sweeper import Sweeper

CAPS: Final = Caps(per_subject=2, per_address=3)
LEASE: Final = 15.0


class Step:
    """A command on its way; the schedule answers it, or raises."""

    def __init__(self, command: Any) -> None:
        self.command = command

    def __await__(self) -> Any:
        return (yield self)


class Store:
    """The part of `RedisClient` that the protocol uses; nothing of a batch is atomic."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice

    async def call(self, operation: str, *command: Any) -> Any:  # noqa: ARG002
        return await Step(command)

    async def script(self, operation: str, script: Any, keys: Any, args: Any) -> Any:  # noqa: ARG002
        return await Step(ScriptCall(script, keys, args))

    async def batch(self, operation: str, commands: Sequence[Any]) -> list[Any]:
        return await self.run(operation, commands)

    async def run(
        self,
        operation: str,  # noqa: ARG002
        calls: Sequence[Any],
        *,
        first_alone: bool = False,
    ) -> list[Any]:
        order = list(range(first_alone, len(calls)))
        self._dice.shuffle(order)
        replies: list[Any] = [None] * len(calls)
        lost: StoreUnavailable | None = None
        for at in [0] * first_alone + order:
            try:
                replies[at] = await Step(calls[at])
            except StoreUnavailable as error:
                if first_alone and at == 0:
                    raise
                lost = error  # what is on other nodes is carried out all the same
        if lost is not None:
            raise lost
        return replies


@dataclass(eq=False)
class Replica:
    """One process."""

    name: str
    owners: Owners
    registry: SessionRegistry
    sweeper: Sweeper
    beaten: float
    tasks: list[Task] = field(default_factory=list)
    admitted: dict[str, SessionRow] = field(default_factory=dict)

    async def beat(self) -> None:
        """What `RedisState.run` and the gateway's upkeep do."""
        claim = await self.owners.beat()
        if claim is not None:
            await self.sweeper.sweep(claim)
        await self.registry.settle()
        await self.registry.look()
        await self.registry.audit()
        await self.registry.refresh(list(self.admitted.values()))


@dataclass(eq=False)
class Task:
    """An operation under way; `step` is what it waits for."""

    kind: str
    coroutine: Coroutine[Any, Any, Any]
    row: SessionRow | None = None
    step: Step | None = None
