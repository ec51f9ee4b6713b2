"""What a browser is told when its conversation begins otherwise than it asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from app.protocol import frames
from app.protocol.close_codes import FORBIDDEN

if TYPE_CHECKING:
    from app.protocol.initialize import ResolvedInitialize

MAX_KEYS: Final = 16
MAX_KEY: Final = 64
"""How many ignored keys are told, and how many characters of each: a browser chose them."""


@dataclass(frozen=True, slots=True)
class Notices:
    """What was not done as asked: `keys` of `additionalData`, and the call type `asked`."""

    keys: tuple[str, ...] = ()
    asked: str | None = None
    used: str = ""


def notices_of(opening: ResolvedInitialize) -> Notices:
    """Say what of a browser's `initialize` was ignored."""
    keys = tuple(key[:MAX_KEY] for key in opening.ignored_keys[:MAX_KEYS])
    return Notices(keys, opening.overridden_call_type, opening.call_type.value)


def notice_frames(
    notices: Notices, now: float, session_id: str, *, native: bool
) -> tuple[bytes, ...]:
    """Build the frames that say so; ignored keys are told to `native` clients alone.

    The vendor's own clients do not know the event, but an `error` they show: without it a page
    would wait for an `sdpInvite` that never comes.
    """
    told = []
    if notices.asked is not None:
        message = (
            f"The credential decides the call type: this conversation is {notices.used}, "
            f"not {notices.asked}."
        )
        told.append(frames.error(now, FORBIDDEN, session_id, message, numbered=False))
    if notices.keys and native:
        message = "These additionalData keys are not in the agent's client_data_keys: ignored."
        told.append(frames.warning(now, "client_data_ignored", message, keys=list(notices.keys)))
    return tuple(told)
