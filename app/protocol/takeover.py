"""A person speaks in a chat instead of its agent: what passes, and what the agent is told.

What the agent says is held from every page, and what pages say is held from the agent. Handing back
tells the agent in one message what was said, or a summary of it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from app.protocol.control import Speaker
from app.protocol.frames import TEXT

if TYPE_CHECKING:
    from app.protocol.tool import ToolCall

REQUEST_HUMAN: Final = "request_human"
"""The built-in tool by which an agent asks for a person, where its profile lists it in `tools`."""

REQUESTED: Final = {
    "requested": True,
    "message": "A person was asked to join. The conversation goes on until one does.",
}
MAX_REASON: Final = 500
MAX_TOLD: Final = 8 * 1024
"""Characters of an agent's reason, and bytes of what the agent is told of a takeover."""

OMITTED: Final = "[…]"


class Takeover:
    """One takeover: who speaks, since when (Unix seconds), and the latest of what was said."""

    __slots__ = ("_is_cut", "_said", "_size", "operator", "since")

    def __init__(self, operator: str, since: float) -> None:
        self.operator = operator
        self.since = since
        self._said: deque[str] = deque()
        self._size = 0
        self._is_cut = False

    def heard(self, speaker: Speaker, text: str) -> None:
        """Take what one side said; the oldest give way, and a long text loses its beginning."""
        name = self.operator if speaker is Speaker.OPERATOR else speaker.value.capitalize()
        line = f"{name}: {text}"
        if len(line.encode()) > MAX_TOLD:
            line = OMITTED + line.encode()[-MAX_TOLD:].decode(errors="ignore")
        self._said.append(line)
        self._size += len(line.encode())
        while self._size > MAX_TOLD and len(self._said) > 1:
            self._size -= len(self._said.popleft().encode())
            self._is_cut = True

    def summary(self) -> str:
        """What was said, for the agent; empty if nothing was."""
        if not self._said:
            return ""
        cut = (OMITTED,) if self._is_cut else ()
        return "\n".join((f"{self.operator} has talked with the user:", *cut, *self._said))


@dataclass(frozen=True, slots=True)
class HumanWanted:
    """An agent has asked for a person, at `since` (Unix seconds)."""

    reason: str
    since: float


def is_held(kind: str, frame: dict[str, Any]) -> bool:
    """Tell whether a frame of the vendor's is held from pages: what the agent says."""
    return kind == TEXT and _source(frame) != "user"


def is_echo(kind: str, frame: dict[str, Any], text: str) -> bool:
    """Tell whether a frame of the vendor's shows the user's `text`."""
    content = frame.get("content")
    return (
        kind == TEXT
        and type(content) is dict
        and _source(frame) == "user"
        and content.get("text") == text
    )


def reason_of(call: ToolCall) -> str:
    """Why the agent wants a person, bounded; it may have said so in `reason`."""
    given = call.args.get("reason") if type(call.args) is dict else None
    return given[:MAX_REASON] if type(given) is str else ""


def _source(frame: dict[str, Any]) -> object:
    content = frame.get("content")
    return content.get("source") if type(content) is dict else None
