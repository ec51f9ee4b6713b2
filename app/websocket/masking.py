"""Masks (RFC 6455 §5.3): applying one, and unpredictable keys at a small price."""

from __future__ import annotations

from os import urandom
from typing import Final

try:
    from websockets.speedups import apply_mask
except ImportError:  # websockets built without its C extension
    from websockets.utils import apply_mask

__all__ = ["MaskKeys", "apply_mask"]

_POOL: Final = 4096


class MaskKeys:
    """Masking keys from the kernel's generator, a page of them at a time.

    A key must be unpredictable (RFC 6455 §10.3): each is used once, and comes from a source of
    strong entropy. A system call per frame would cost more than the rest of sending it.
    """

    __slots__ = ("_at", "_pool")

    def __init__(self) -> None:
        self._pool = b""
        self._at = _POOL

    def take(self) -> bytes:
        """Take the next key: four bytes."""
        at = self._at
        if at >= _POOL:
            self._pool = urandom(_POOL)
            at = 0
        self._at = at + 4
        return self._pool[at : at + 4]
