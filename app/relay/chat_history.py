"""What was said in a chat, kept in memory for pages that join it; bounded in turns and bytes."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

import orjson

from app.history.frames import TurnFragment, read
from app.history.interface import Direction
from app.history.turn import Turn

MAX_TURNS: Final = 200
UNREAD_FRAMES: Final = 32
UNREAD_BYTES: Final = 32 * 1024
SPEAKERS_TOLD: Final = frozenset({"backend", "operator"})
TURN_GAP: Final = 1.0
"""Seconds of silence after which the same side begins another turn, as `client.js` has it."""


class ChatHistory:
    """The latest turns, up to `limit` bytes of text; the oldest go first.

    Frames are kept as they came and read a few at a time, which costs less than one by one.
    """

    __slots__ = ("_limit", "_size", "_turns", "_unread", "_unread_size")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._turns: deque[Turn] = deque()
        self._size = 0
        self._unread: list[tuple[float, bytes]] = []
        self._unread_size = 0

    def add(self, at: float, payload: bytes) -> None:
        """Take a frame that browsers were sent at `at` (Unix seconds), if it may be a text."""
        if b'"text"' not in payload:
            return
        self._unread.append((at, payload))
        self._unread_size += len(payload)
        if len(self._unread) >= UNREAD_FRAMES or self._unread_size >= UNREAD_BYTES:
            self._read()

    def turns(self) -> list[dict[str, Any]]:
        """The turns as `relay.history` carries them, the oldest first; `at` in Unix seconds."""
        self._read()
        return [
            {
                "source": turn.source,
                "text": turn.text,
                "at": round(turn.started_at, 3),
                **({"speaker": turn.speaker} if turn.speaker in SPEAKERS_TOLD else {}),
            }
            for turn in self._turns
        ]

    def _read(self) -> None:
        unread, self._unread, self._unread_size = self._unread, [], 0
        for at, payload in unread:
            piece = read(Direction.FROM_UPSTREAM, payload)
            if isinstance(piece, TurnFragment) and not _is_partial(payload):
                self._say(piece, at)
        while len(self._turns) > MAX_TURNS or (self._size > self._limit and len(self._turns) > 1):
            self._size -= len(self._turns.popleft().text.encode())
        if self._size > self._limit:
            self._cut_only_turn()

    def _say(self, piece: TurnFragment, at: float) -> None:
        last = self._turns[-1] if self._turns else None
        grows = (
            last is not None
            and piece.source != "user"
            and last.is_continued_by(piece)
            and at - last.ended_at <= TURN_GAP
        )
        if last is None or not grows:
            self._turns.append(Turn(0, piece.source, piece.text, 1, at, at, piece.speaker))
            self._size += len(piece.text.encode())
            return
        self._size -= len(last.text.encode())
        last.add(piece, at)
        self._size += len(last.text.encode())

    def _cut_only_turn(self) -> None:
        """Keep the end of a turn that is larger than all turns together may be."""
        turn = self._turns[-1]
        turn.text = turn.text.encode()[-self._limit :].decode(errors="ignore")
        self._size = len(turn.text.encode())


def _is_partial(payload: bytes) -> bool:
    """Tell whether a text is not final: the vendor marks it by `content.type` "potential" (D)."""
    if b"potential" not in payload:
        return False
    content = orjson.loads(payload).get("content")
    return isinstance(content, dict) and content.get("type") == "potential"
