"""Holds frames back while guardrails judge one of them, each direction in its order.

It stands between a leg's socket and the handler of its frames, in sessions that have a guardrail
for that direction and in no others. What waits is bounded in frames and bytes: past either the leg
is read no further, so nothing is lost. Frames that need no verdict and wait behind none pass at
once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from app.protocol.guarding import Subject
    from app.relay.interface import FrameHandler
    from app.relay.session_guard import SessionGuard
    from blackbox_relay.guardrail import On, Verdict

MAX_FRAMES: Final = 256
MAX_BYTES: Final = 1 << 20
"""How much may wait in one direction of a session before it is read no further."""


@dataclass(slots=True)
class Waiting:
    """A frame that waits, or what else came between frames. `at` is in monotonic seconds."""

    size: int
    at: float
    payload: bytes | None = None
    subject: Subject | None = None
    is_user_text: bool = False
    is_superseded: bool = False
    then: Callable[[], None] | None = None


class Hold(Protocol):
    """Stops and resumes the reading of a leg."""

    def __call__(self, *, held: bool) -> None:
        """Hold the leg's reading, or let go of it."""
        ...


class GuardedFrames:
    """The frames of one direction. `release` is called with what waits, one after the other."""

    def __init__(
        self,
        inner: FrameHandler,
        guard: SessionGuard,
        crashed: Callable[[], None],
        types: Mapping[On, str],
    ) -> None:
        self.hold: Hold | None = None
        self._inner = inner
        self._guard = guard
        self._crashed = crashed
        self._waiting: deque[Waiting] = deque()
        self._size = 0
        self._is_held = False
        self._task: asyncio.Task[None] | None = None
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        # A frame without any of these holds nothing to be judged; an escape may hide one.
        judged = [kind.encode() for on, kind in types.items() if guard.judges(on)]
        self._marks = (b"\\u", *judged)

    # What the socket delivers

    def text_received(self, payload: bytes) -> None:
        """Pass a frame on at once, or let it wait."""
        if not self._waiting and not any(mark in payload for mark in self._marks):
            self._inner.text_received(payload)
            return
        try:
            item = self._looked_at(payload)
        except Exception:  # noqa: BLE001 - the outermost handler of what a frame causes
            self._crashed()
            return
        if item.subject is None and not self._waiting:
            self._deliver(item)
        else:
            self._put(item)

    def binary_received(self, size: int) -> None:
        """Pass on that a binary message came, in its order."""
        if self._waiting:
            self._put(Waiting(0, monotonic(), then=lambda: self._inner.binary_received(size)))
        else:
            self._inner.binary_received(size)

    def read_complete(self) -> None:
        """Pass on that a read is over; of what waits that is told when it has been judged."""
        if not self._waiting:
            self._inner.read_complete()

    def discard_read(self) -> None:
        """Count no more on the read that is under way: its socket is gone."""
        self._inner.discard_read()

    def after(self, then: Callable[[], None]) -> None:
        """Call `then` behind all that waits; at once if nothing does."""
        if self._waiting:
            self._put(Waiting(0, monotonic(), then=then))
        else:
            then()

    async def idle(self) -> None:
        """Wait until nothing waits."""
        await self._is_idle.wait()

    def close(self) -> None:
        """Forget what waits."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._waiting.clear()
        self._size = 0
        self._let_go()

    # What waits

    def _put(self, item: Waiting) -> None:
        last = self._waiting[-1] if self._waiting else None
        if last is not None and _replaces(item, last):
            last.is_superseded = True
        self._waiting.append(item)
        self._size += item.size
        self._is_idle.clear()
        if len(self._waiting) >= MAX_FRAMES or self._size >= MAX_BYTES:
            self._is_held = True
            if self.hold is not None:
                self.hold(held=True)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="guarded_frames")

    async def _run(self) -> None:
        """Judge and release what waits, in its order, until nothing does."""
        try:
            while self._waiting:
                item = self._waiting[0]
                if item.subject is None or item.is_superseded:
                    self._release(item)
                else:
                    verdict = await self._judge(item, item.subject)
                    self._carry_out(item, item.subject, verdict)
                    self._inner.read_complete()
                if not self._waiting or self._waiting[0] is not item:
                    return  # what it led to has closed this gate
                self._waiting.popleft()
                self._size -= item.size
        except Exception:  # noqa: BLE001 - the outermost handler of what a frame causes
            self._waiting.clear()
            self._crashed()
        self._task = None
        self._inner.read_complete()
        self._let_go()

    def _release(self, item: Waiting) -> None:
        if item.then is not None:
            self._inner.read_complete()
            item.then()
        elif not item.is_superseded:
            self._deliver(item)

    def _let_go(self) -> None:
        self._is_idle.set()
        if self._is_held:
            self._is_held = False
            if self.hold is not None:
                self.hold(held=False)

    def _deliver(self, item: Waiting) -> None:
        """Give a frame that needs no verdict to its handler."""
        if item.payload is not None:
            self._inner.text_received(item.payload)

    # What a direction makes of it

    def _looked_at(self, payload: bytes) -> Waiting:
        raise NotImplementedError

    async def _judge(self, item: Waiting, subject: Subject) -> Verdict:  # noqa: ARG002 - see below
        return await self._guard.judge(subject.on, subject.text, tool=subject.tool)

    def _carry_out(self, item: Waiting, subject: Subject, verdict: Verdict) -> None:
        raise NotImplementedError


def _replaces(item: Waiting, last: Waiting) -> bool:
    """Whether a partial text that waits is shown no more, as the one behind it replaces it."""
    return (
        last.subject is not None
        and last.subject.spoken is not None
        and last.subject.spoken.partial
        and item.subject is not None
        and item.subject.spoken is not None
    )
