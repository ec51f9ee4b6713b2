"""The owner of a socket that has none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from app.wire.socket import Closed


class Nobody:
    """The owner before `open` and after the end: hears everything, does nothing."""

    __slots__ = ()

    def text_received(self, payload: bytes) -> None:
        """Drop it."""

    def binary_received(self, size: int) -> None:
        """Drop it."""

    def batch_received(self) -> None:
        """Drop it."""

    def writing_paused(self) -> None:
        """Drop it."""

    def writing_resumed(self) -> None:
        """Drop it."""

    def failing(self, code: int) -> None:
        """Drop it."""

    def connection_lost(self, closed: Closed) -> None:
        """Drop it."""


NOBODY: Final = Nobody()
