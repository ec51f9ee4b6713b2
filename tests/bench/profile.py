"""Where a Python relay's time goes: cProfile around the whole program."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.bench.peers import Launch

if TYPE_CHECKING:
    from pathlib import Path

    from tests.bench.peers import Peer, Wiring


def profiled(peer: Peer, into: Path) -> Peer:
    """Start a peer under cProfile. The others are left as they are.

    Its figures are too high then; `python -m pstats FILE` reads what it leaves in `into`.
    """

    def launch(wiring: Wiring) -> Launch:
        plain = peer.launch(wiring)
        if plain.argv[0] != sys.executable:
            return plain
        into.mkdir(parents=True, exist_ok=True)
        out = str(into / f"{peer.name}.pstats")
        return Launch([sys.executable, "-m", "cProfile", "-o", out, *plain.argv[1:]], plain.env)

    return replace(peer, launch=launch)
