"""Masks (RFC 6455 §5.3): applying one, and unpredictable keys at a small price."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

try:
    from websockets.speedups import apply_mask
except ImportError:  # websockets built without its C extension
    from websockets.utils import apply_mask

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["apply_mask", "mask_keys"]

_POOL = 4096


def mask_keys() -> Iterator[bytes]:
    """Yield masking keys for ever, from the kernel's generator, a page of them at a time.

    A key must be unpredictable (RFC 6455 §10.3): each is used once, and comes from a source of
    strong entropy. A system call per frame would cost more than the rest of sending it.
    """
    while True:
        pool = os.urandom(_POOL)
        for start in range(0, _POOL, 4):
            yield pool[start : start + 4]
