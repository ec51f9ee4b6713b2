"""What is compiled is code alone: libraries go into every image and wheel."""

from __future__ import annotations

from pathlib import Path

import app
from app.websocket.compiled import COMPILED


def test_libraries_carry_no_debug_information() -> None:
    """`.debug_info` is the ELF section that holds it. The source build has no library at all."""
    libraries = sorted(Path(app.__file__).parent.rglob("*.so"))
    assert bool(libraries) is COMPILED
    assert [path.name for path in libraries if b".debug_info" in path.read_bytes()] == []
