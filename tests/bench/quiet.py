"""Neighbours: caches and batches suffer from them, so wait for a quiet moment, within reason."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.bench.table import NOISE

if TYPE_CHECKING:
    from collections.abc import Callable

GLANCE: Final = 0.3
ATTEMPTS: Final = 3


class Quiet:
    """Knows how long a run may still wait, in seconds for the whole of it."""

    def __init__(self, patience: float) -> None:
        self._patience = patience

    def measured(
        self, step: Callable[[], dict[str, float]], own_cpu_ns: Callable[[], int]
    ) -> dict[str, float]:
        """Do a step in a quiet moment, and again if others came in, while patience lasts.

        Returns the figures of the quietest attempt, with `elsewhere`: what share of the machine
        others had meanwhile.
        """
        best: dict[str, float] = {}
        for _ in range(ATTEMPTS):
            self._wait()
            began, busy, own = time.monotonic(), _busy(), own_cpu_ns()
            figures = step()
            took = time.monotonic() - began
            others = _busy() - busy - (own_cpu_ns() - own) / 1e9
            figures["elsewhere"] = max(0.0, others / took / (os.cpu_count() or 1))
            if not best or figures["elsewhere"] < best["elsewhere"]:
                best = figures
            if best["elsewhere"] <= NOISE or self._patience <= 0:
                break
            self._patience -= took
        return best

    def _wait(self) -> None:
        while self._patience > 0:
            before = _busy()
            time.sleep(GLANCE)
            if (_busy() - before) / GLANCE / (os.cpu_count() or 1) <= NOISE:
                return
            self._patience -= GLANCE


def _busy() -> float:
    """CPU seconds of the whole machine, steal included."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields)
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
