"""Ports for those who must be told theirs before they listen."""

from __future__ import annotations

import random
import socket
from typing import Final

# Below what kernels give to outgoing connections, of which a test makes thousands, and above what
# browsers refuse to connect to.
FIRST: Final = 10_240
LAST: Final = 32_000


def free_port() -> int:
    """A TCP port of loopback that nobody has just now.

    Chosen at random, so that tests that run at the same time hardly ever choose alike.
    """
    while True:
        port = random.randint(FIRST, LAST)  # noqa: S311 - no secret
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
