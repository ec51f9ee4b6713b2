"""Signs of life of simulated replicas: by a connection of their own, and how late they are."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from app.state.backend import Backend
from app.state.connector import Connector

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.scale.backend import PipelinedBackend

VITAL: Final = 3
"""Connections that `RedisState` asks for where its signs of life go; more are for all else."""

LATE_AFTER: Final = 0.2
"""Of a lease, without a beat that was answered: twice what lies between two beats."""


class Beats(Backend):
    """The signs of life of one replica, by a connection on which no session waits."""

    def __init__(self, shared: PipelinedBackend, clock: Callable[[], float]) -> None:
        self._shared = shared
        self._clock = clock
        self.answers = 0
        self.beaten = float("-inf")

    async def execute(self, *command: Any) -> Any:
        """Run one command; the script among them is the beat of the owner of sessions."""
        reply = await self._shared.execute(*command)
        self.answers += 1
        if command[0] in {"EVALSHA", "EVAL"}:
            self.beaten = self._clock()
        return reply

    async def pipeline(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        replies = await self._shared.pipeline(commands)
        self.answers += len(replies)
        return replies

    async def close(self) -> None:
        """Leave the connection open: others use it."""


class SharedConnector(Connector):
    """Gives a replica what its process shares: connections for entries, and others for beats."""

    def __init__(
        self,
        url: str,
        entries: PipelinedBackend,
        beats: PipelinedBackend,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(url)
        self._entries = entries
        self._clock = clock
        self.beats = Beats(beats, clock)

    def backend(self, connections: int) -> Backend:
        return self.beats if connections <= VITAL else self._entries

    def is_late(self, lease: float) -> bool:
        """Whether this replica's last beat is so long ago that it must let in no one."""
        return self._clock() - self.beats.beaten > LATE_AFTER * lease
