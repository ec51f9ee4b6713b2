"""How a browser is told that its socket is of no use: the frame with the reason, then the close."""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, Final

from app.backoff import retry_later
from app.protocol import frames
from app.protocol.close_codes import (
    BAD_FRAMES,
    FRAME_TOO_LARGE,
    NOT_UTF8,
    TOO_MANY,
    CloseReason,
)

if TYPE_CHECKING:
    from app.websocket.interface import Socket

# A protocol violation by the browser ends the session, resumable or not.
REASON_BY_CLOSE_CODE: Final = {
    1002: BAD_FRAMES,
    1007: NOT_UTF8,
    1009: FRAME_TOO_LARGE,
    4429: TOO_MANY,
}


def retry_after(reason: CloseReason) -> float | None:
    """Seconds to wait where a reason asks for it, scattered: browsers must not come at once."""
    return retry_later() if reason.retry_after else None


def refuse(
    socket: Socket,
    now: float,
    reason: CloseReason,
    session_id: str | None,
    message: str | None = None,
    retry_after: float | None = None,
) -> None:
    """Tell a socket that is no session's why, and close it.

    What it is told has no number: its browser may come back, and count on from before.
    """
    told = frames.error(now, reason, session_id, message, retry_after, numbered=False)
    socket.send_text(told)
    socket.close(reason.code, reason.name)


def reject(socket: Socket, reason: CloseReason) -> None:
    """Tell a browser whose conversation lives elsewhere why it is sent away."""
    refuse(socket, time(), reason, None)


def send_error(socket: Socket, code: int) -> None:
    """Tell such a browser why, before its socket closes for a protocol error with `code`."""
    reason = REASON_BY_CLOSE_CODE.get(code)
    if reason is not None:
        socket.send_text(frames.error(time(), reason, None))
