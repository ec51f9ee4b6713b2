"""The processes that share the simulated replicas, and what they are asked."""

from __future__ import annotations

import multiprocessing
from typing import TYPE_CHECKING, Any, Self

from tests.scale import worker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from multiprocessing.connection import Connection


class Processes:
    """One process for each of `orders`; they run for the time of a block."""

    def __init__(self, orders: Sequence[worker.Orders]) -> None:
        self._orders = orders
        self._pipes: list[Connection] = []
        self._running: list[multiprocessing.process.BaseProcess] = []

    def __enter__(self) -> Self:
        context = multiprocessing.get_context("spawn")
        for each in self._orders:
            ours, theirs = context.Pipe()
            process = context.Process(target=worker.run, args=(each, theirs))
            process.start()
            theirs.close()
            self._running.append(process)
            self._pipes.append(ours)
        for pipe in self._pipes:
            assert pipe.recv() == "ready"
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running:
            process.kill()
            process.join()

    def all(self, *words: Any) -> list[dict[str, Any]]:
        """Ask all processes at once, and wait for their answers."""
        for pipe in self._pipes:
            pipe.send(words)
        return [pipe.recv() for pipe in self._pipes]

    def first(self, *words: Any) -> dict[str, Any]:
        """Ask one process."""
        self._pipes[0].send(words)
        answer: dict[str, Any] = self._pipes[0].recv()
        return answer

    def total(self, figure: str | Callable[[dict[str, Any]], float]) -> float:
        """The sum of a figure over all processes."""
        told = self.all("figures")
        return sum(each[figure] if isinstance(figure, str) else figure(each) for each in told)
