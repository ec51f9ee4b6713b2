"""`blackbox-relay doctor`: dial, measure, explain."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.settings import Settings


async def examine(settings: Settings, url: str | None) -> int:
    """Dial upstream and, with a URL, the gateway; print findings; return the exit status."""
    raise NotImplementedError
