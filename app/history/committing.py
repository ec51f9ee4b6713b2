"""A batch is written until the sink takes it, in smaller shares where it is too much at once."""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING, Final

from app.history.errors import Unstorable
from app.history.pacing import TimeSlice

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from app.history.batch import Batch
    from app.history.conversation import BatchPart
    from app.history.queue import Bounds
    from app.history.sink import Sink
    from app.history.warning_log import WarningLog

MOST_SHARES: Final = 64


class Committer:
    """Writes the parts of a batch. `still` is set while no write is under way.

    `on_stored` is called with the ids of conversations that are stored now, or never will be.
    """

    def __init__(
        self,
        batch: Batch,
        sink: Sink,
        bounds: Bounds,
        warnings: WarningLog,
        on_stored: Callable[[Collection[str]], None] | None,
    ) -> None:
        self.still = asyncio.Event()
        self.still.set()
        self._batch = batch
        self._sink = sink
        self._bounds = bounds
        self._warnings = warnings
        self._on_stored = on_stored
        self._opened = False
        self._shares = 1

    async def open(self) -> None:
        """Make the sink ready, once. Raises `HistoryUnavailable`."""
        if not self._opened:
            await self._sink.open()
            self._opened = True

    async def commit(self) -> None:
        """Write the batch; in ever smaller shares while the sink is too slow for more at once.

        Raises `HistoryUnavailable`; what was not written by then stays in the batch.
        """
        step = max(1, len(self._batch.parts) // self._shares)
        self._shares = min(self._shares * 2, MOST_SHARES)
        while self._batch.parts:
            await self._write_or_lose(list(islice(self._batch.parts.values(), step)))
        self._shares = 1

    async def _write_or_lose(self, parts: list[BatchPart]) -> None:
        try:
            await self._write(parts)
        except Unstorable:
            for part in parts:  # one of them is to blame: the others shall not fall with it
                try:
                    await self._write([part])
                except Unstorable as error:
                    self._warnings.warn("history_refused", error=str(error))
                    self._batch.lose(part)

    async def _write(self, parts: list[BatchPart]) -> None:
        """Write parts, and empty the list: to free all of them at once would hold the loop."""
        wanted = [part for part in parts if not part.conversation.erased]
        self.still.clear()
        try:
            gone = await self._sink.write(wanted) if wanted else ()
        finally:
            self.still.set()
        del wanted
        if self._on_stored is not None:
            new = [p.conversation.start.id for p in parts if not p.conversation.stored]
            self._on_stored(new)
        time = TimeSlice(self._bounds.slice)
        while parts:
            part = parts.pop()
            if part.conversation.start.id in gone:
                part.conversation.erase()
            self._batch.settle(part)
            if time.is_over():
                await time.rest()
