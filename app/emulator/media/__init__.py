"""The media of a voice call: aiortc where it is installed, else an offer without sound."""

from __future__ import annotations

import functools
import importlib.util
import logging
from typing import TYPE_CHECKING, Protocol

from app.emulator.media.canned import CannedPeer

if TYPE_CHECKING:
    import asyncio

    from app.emulator.media.sound import Heard

log = logging.getLogger(__name__)


class MediaPeer(Protocol):
    """The vendor's end of one call's media."""

    digits: asyncio.Queue[str]

    async def offer(self) -> str:
        """Make the SDP offer, all candidates in it: there is no trickle ICE (D L)."""
        ...

    async def accept(self, answer: str) -> None:
        """Take the SDP answer. Raises `ValueError` if it is none to this offer."""
        ...

    async def connected(self) -> None:
        """Wait until audio can flow. Raises `ConnectionError` if it never will."""
        ...

    async def gone(self) -> None:
        """Wait until the caller's end of the media is gone."""
        ...

    def heard(self) -> Heard:
        """Say what was heard of the caller."""
        ...

    async def close(self) -> None:
        """Stop sending and let go of everything."""
        ...


def open_peer(
    codec: str, *, tone: float, tone_seconds: float, echo: bool, real: bool = True
) -> MediaPeer:
    """Make the peer of a new call, in the running loop. `codec` is `g711` or `opus`."""
    if not (real and _aiortc_is_installed()):
        return CannedPeer(codec)
    from app.emulator.media.peer import AiortcPeer  # noqa: PLC0415 - an extra

    return AiortcPeer(codec, tone=tone, tone_seconds=tone_seconds, echo=echo)


@functools.cache
def _aiortc_is_installed() -> bool:
    found = importlib.util.find_spec("aiortc") is not None
    if not found:
        log.warning("aiortc is missing: calls have signalling but no sound (extra: voice)")
    return found
