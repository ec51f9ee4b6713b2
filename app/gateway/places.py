"""Places for upstream sessions: this replica's share of the bound and of the queue before it.

One loop synchronizes with the shared store, one call at a time: when a session comes or goes, when
another replica says that a place was given, and every `BEAT` seconds. What a call could not tell
the store is told by the next one.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from math import nan
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from app.gateway.place import Place, hashed
from app.protocol.errors import StoreUnavailable, UpstreamError
from app.state.places import MAX_ENTRIES, PlaceChanges, Standing, Waiter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import TypeVar

    from app.state.interface import State
    from app.state.places import PlaceBounds, PlaceReport
    from app.telemetry.metrics import Metrics

    Item = TypeVar("Item")

log = structlog.get_logger(__name__)

BEAT: Final = 1.0
HOLD_INTERVAL: Final = 2.0
POLL_INTERVAL: Final = 5.0
RETRY_PAUSE: Final = 0.5
MAX_RELEASING: Final = 10_000
CLOSE_TIMEOUT: Final = 1.0
ADVICE: Final = "the last known limit stays; check RELAY_BLACKBOX_URL and RELAY_BLACKBOX_API_KEY"


class Usage(Protocol):
    """Asks the vendor for its own figures."""

    async def __call__(self) -> tuple[int, int]:
        """Return (active sessions, most sessions). Raises `UpstreamError`."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class UpstreamPlaces:
    """The places of this replica's sessions. `run` must be running.

    `usage` asks for the vendor's own figures where `bounds.limit` is None. `wake_message` is told
    to the inbox of a replica whose sessions were given places.
    """

    def __init__(
        self,
        state: State,
        bounds: PlaceBounds,
        metrics: Metrics,
        wake_message: bytes,
        usage: Usage | None = None,
    ) -> None:
        self._state = state
        self._bounds = bounds
        self._metrics = metrics
        self._wake_message = wake_message
        self._usage = usage
        self._places: dict[str, Place] = {}
        self._releasing: dict[str, Waiter | None] = {}
        self._dirty = asyncio.Event()
        self._woken = False
        self._beaten = False
        self._next_beat = self._next_hold = 0.0
        self._publish: int | None = None
        self._group: asyncio.TaskGroup | None = None
        self.report: PlaceReport | None = None

    @property
    def waiting(self) -> int:
        """How many of this replica's sessions wait for a place."""
        return sum(not place.granted for place in self._places.values())

    async def enter(self, session_id: str, turn: str | None) -> Place | None:
        """Take a place, or wait for one; None where no place is free and the queue is full.

        `turn` is what an earlier place of this browser's was given. Raises `StoreUnavailable`.
        """
        place = Place(self, session_id, hashed(turn) if turn else "")
        self._places[session_id] = place
        self._dirty.set()
        try:
            standing = await place.entered
        except BaseException:
            place.release()
            raise
        if standing is Standing.REFUSED:
            self._places.pop(session_id, None)
            return None
        return place

    def leave(self, place: Place, *, keep_turn: bool) -> None:
        """Free what a session holds, or end its waiting."""
        if self._places.pop(place.session_id, None) is None:
            return
        keep = keep_turn and not place.granted and place.number > 0
        turn = hashed(place.turn)
        self.free(place, Waiter(place.session_id, place.number, turn) if keep else None)

    def free(self, place: Place, kept: Waiter | None) -> None:
        """Tell the store soon that a session holds nothing, and what is kept for its browser."""
        if len(self._releasing) < MAX_RELEASING:  # beyond that, leases run out
            self._releasing[place.session_id] = kept
        self._dirty.set()

    def wake(self) -> None:
        """Look soon at what has become of this replica's sessions."""
        self._woken = True
        self._dirty.set()

    async def run(self) -> None:
        """Synchronize until cancelled; then free everything."""
        try:
            async with asyncio.TaskGroup() as self._group:
                while True:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(self._next_beat - monotonic()):
                            await self._dirty.wait()
                    await self._try_synchronize()
        finally:
            await self._close()

    async def _try_synchronize(self) -> None:
        self._dirty.clear()
        try:
            await self._synchronize()
        except StoreUnavailable as lost:
            self._next_beat = self._next_hold = 0.0
            for place in tuple(self._places.values()):
                if not place.entered.done():
                    place.entered.set_exception(StoreUnavailable(str(lost)))
            await asyncio.sleep(RETRY_PAUSE)

    async def _close(self) -> None:
        for place in tuple(self._places.values()):
            place.release(keep_turn=True)
        with suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._synchronize()
        if self._usage is not None:
            await self._usage.close()

    async def _synchronize(self) -> None:
        """Tell the store what is new here, and what is due; take over what it says."""
        now = monotonic()
        beat, hold = now >= self._next_beat, now >= self._next_hold
        releasing, self._releasing = self._releasing, {}
        holders = [name for name, place in self._places.items() if place.granted and hold]
        waiters = self._due(all_of_them=beat or self._woken)
        self._woken = False
        try:
            for changes in _batches(releasing, holders, waiters):
                await self._tell(changes)
                for name in changes.release:
                    del releasing[name]
        finally:
            self._releasing = releasing | self._releasing
        if beat:
            self._next_beat = now + BEAT
        if hold:
            self._next_hold = now + HOLD_INTERVAL

    def _due(self, *, all_of_them: bool) -> list[Place]:
        """Places to ask for: those that wait, or only those that the store has not heard of."""
        return [
            place
            for place in self._places.values()
            if not (place.granted or place.aside) and (all_of_them or not place.entered.done())
        ]

    async def _tell(self, changes: PlaceChanges) -> None:
        polls = self._usage is not None
        publish, self._publish = self._publish, None
        changes = replace(
            changes,
            poll=POLL_INTERVAL if polls else 0.0,
            publish=publish,
            beaten=self._beaten,
            wake=self._wake_message,
        )
        try:
            report = await self._state.synchronize_places(self._bounds, changes)
        except BaseException:
            self._publish = publish if self._publish is None else self._publish
            raise
        self._beaten = True
        self._take_over(report)
        if report.poll and self._usage is not None and self._group is not None:
            self._group.create_task(self._look(self._usage), name="places:usage")

    def _take_over(self, report: PlaceReport) -> None:
        if self.report is None or self.report.limit != report.limit:
            log.info("upstream_limit", limit=report.limit)
        self.report = report
        self._metrics.upstream_places.set(nan if report.limit is None else report.limit)
        self._metrics.upstream_places_held.set(report.held)
        for name, status in report.statuses.items():
            place = self._places.get(name)
            if place is None or place.aside:
                continue  # it left meanwhile, and the store will hear of it
            entered = status.standing is not Standing.REFUSED
            if entered and place.update(status, report.waiting) and place.waited:
                self._metrics.queue_wait_seconds.observe(monotonic() - place.since)
            if not place.entered.done():
                place.entered.set_result(status.standing)

    async def _look(self, usage: Usage) -> None:
        """Ask the vendor how many sessions it takes; those of others leave fewer to us."""
        before = self.report.held if self.report else 0
        try:
            active, concurrency = await usage()
        except UpstreamError as failed:
            log.warning("concurrency_unknown", cause=str(failed), advice=ADVICE)
            return
        ours = min(before, self.report.held if self.report else 0)
        self._publish = max(0, concurrency - max(0, active - ours))
        self._dirty.set()


def _batches(
    releasing: Mapping[str, Waiter | None], holders: Sequence[str], waiters: Sequence[Place]
) -> Iterator[PlaceChanges]:
    """Split changes into calls of at most `MAX_ENTRIES`, in the order of `PlaceChanges`.

    At least one, which tells the store that this replica lives.
    """
    half = MAX_ENTRIES // 2
    for names in _chunks(tuple(releasing), half):
        kept = [waiter for name in names if (waiter := releasing[name]) is not None]
        yield PlaceChanges(release=names, keep=kept)
    for names in _chunks(holders, MAX_ENTRIES):
        yield PlaceChanges(hold=names)
    for places in _chunks(waiters, MAX_ENTRIES):
        yield PlaceChanges(wait=[Waiter(p.session_id, p.number, p.offered) for p in places])
    if not (releasing or holders or waiters):
        yield PlaceChanges()


def _chunks(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))
