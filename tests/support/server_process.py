"""What the servers that tests start have in common: they run for the time of a block."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self


class ServerProcess(ABC):
    """A server of a test's own: `with` starts it, and kills it at the end of the block."""

    @abstractmethod
    def start(self) -> None:
        """Start, and return when it answers."""

    @abstractmethod
    def kill(self) -> None:
        """End at once; nothing where it does not run."""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
