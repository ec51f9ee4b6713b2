"""Ports for those who must be told theirs before they listen."""

from __future__ import annotations

import os
import random
import socket
from collections import deque
from typing import Final

# Below what kernels give to outgoing connections, of which a test makes thousands, and above what
# browsers refuse to connect to.
FIRST: Final = 10_240
LAST: Final = 32_000
WORKERS: Final = 16
"""Workers of one run of the tests choose among different ports, as long as they are no more."""

_given: Final = deque[int](maxlen=500)
"""The latest ones: whoever was told one may not listen there yet, or not at the moment."""


def free_port() -> int:
    """A TCP port of loopback that nobody has just now, and none that was given lately.

    Chosen at random, so that tests of different runs hardly ever choose alike.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
    own, step = (int(worker) % WORKERS, WORKERS) if worker.isdigit() else (0, 1)
    while True:
        port = random.randrange(FIRST + own, LAST, step)  # noqa: S311 - no secret
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.append(port)
        return port
