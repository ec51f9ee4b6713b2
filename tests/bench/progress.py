"""How far a run is and how long it still takes: a bar on a terminal, a line per step elsewhere."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from statistics import mean
from typing import TYPE_CHECKING, Final, TextIO

from tests.bench.stages import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.bench.peers import Peer
    from tests.bench.stages import Plan

WIDTH: Final = 24
ERASE: Final = "\r\x1b[K"


def steps(plan: Plan, peers: Sequence[Peer]) -> dict[str, tuple[int, float]]:
    """Kind of step to its number, and about how many seconds each takes on two idle cores."""
    in_rounds = [peer for peer in peers if peer.rounds]
    growths = [peer for peer in peers for _ in range(min(peer.growths, plan.growth_rounds))]
    varied = mean(peer.kinds for peer in in_rounds) if in_rounds else 0
    backlog = mean(peer.backlog for peer in in_rounds) if in_rounds else 0
    crowd = mean(peer.crowd for peer in in_rounds) if in_rounds else 0
    kinds = varied * (4 * len(KINDS) - 5) * (plan.kind + plan.warm / 3)
    most = mean(min(peer.most, plan.most) for peer in growths) if growths else 0
    return {
        "start": (len(in_rounds), 1.5 + 3 * plan.heat),
        "round": (
            plan.rounds * len(in_rounds),
            2.5 + 3 * (plan.warm + plan.work) + kinds + (1 + 2 * crowd + backlog) * plan.pace,
        ),
        "growth": (
            len(growths),
            3.5 + 3 * plan.heat + 3 * plan.crowd_work + plan.rest + most / 400,
        ),
    }


class Progress:
    """Counts steps, and expects of those to come what those of their kind have taken so far."""

    def __init__(
        self,
        expected: dict[str, tuple[int, float]],
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._left = {kind: count for kind, (count, _) in expected.items()}
        self._guess = {kind: seconds for kind, (_, seconds) in expected.items()}
        self._took: dict[str, list[float]] = {kind: [] for kind in expected}
        self._whole = sum(self._left.values())
        self._stream = sys.stderr if stream is None else stream
        self._bar = self._stream.isatty()
        self._clock = clock

    @property
    def seconds(self) -> float:
        """How long what is left takes, by what is known."""
        return sum(
            count * (mean(self._took[kind]) if self._took[kind] else self._guess[kind])
            for kind, count in self._left.items()
        )

    @contextmanager
    def step(self, kind: str, what: str) -> Iterator[None]:
        """Show one step for the time of a block."""
        self._show(what)
        began = self._clock()
        try:
            yield
        finally:
            self._left[kind] -= 1
            self._took[kind].append(self._clock() - began)

    def skip(self, kind: str, count: int = 1) -> None:
        """Expect fewer steps of a kind."""
        self._left[kind] -= count

    def skip_rest(self, kind: str) -> None:
        """Expect no more steps of a kind."""
        self._left[kind] = 0

    def say(self, text: str) -> None:
        """Write a line of its own."""
        self._stream.write(f"{ERASE if self._bar else ''}{text}\n")
        self._stream.flush()

    def close(self) -> None:
        """Take the bar away."""
        if self._bar:
            self._stream.write(ERASE)
            self._stream.flush()

    def _show(self, what: str) -> None:
        done = self._whole - sum(self._left.values())
        text = f"{done + 1}/{self._whole} {what}, {readable(self.seconds)} left"
        if self._bar:
            filled = WIDTH * done // max(1, self._whole)
            text = f"{ERASE}[{'#' * filled}{'.' * (WIDTH - filled)}] {text}"
        self._stream.write(text if self._bar else f"{text}\n")
        self._stream.flush()


def readable(seconds: float) -> str:
    """About how long, as people say it."""
    return f"about {seconds:.0f} s" if seconds < 120 else f"about {seconds / 60:.0f} min"
