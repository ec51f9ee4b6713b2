"""What is said in a frame of type `text`, wherever the vendor puts it.

The vendor writes `content: {source, text}` (S D L); older pages and samples have a string, `data`,
or a `text` beside the envelope, all of which browsers show.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from app.protocol.frames import TEXT

PARTIAL: Final = "potential"
"""The `content.type` of a text that may still change (D): its final text follows, or none does."""

USER: Final = "user"
ASSISTANT: Final = "assistant"
_USERS: Final = frozenset((USER, "human", "customer"))


@dataclass(frozen=True, slots=True)
class Spoken:
    """A text, who says it (`source`), and where it stands: the members that lead to it."""

    source: str
    text: str
    partial: bool
    path: tuple[str, ...]

    def replaced(self, frame: dict[str, Any], text: str) -> dict[str, Any]:
        """Return the frame with another text in this one's place."""
        if len(self.path) == 1:
            return {**frame, self.path[0]: text}
        outer, inner = self.path
        return {**frame, outer: {**frame[outer], inner: text}}


def spoken_in(frame: dict[str, Any]) -> Spoken | None:
    """Read what a `text` frame says; None for other frames, and for one that says nothing."""
    if frame.get("type") != TEXT:
        return None
    member = "content" if "content" in frame else "data"
    content = frame.get(member)
    holder = content if isinstance(content, dict) else frame
    if isinstance(content, dict) and isinstance(content.get("text"), str):
        path: tuple[str, ...] = (member, "text")
    elif isinstance(content, str):
        path = (member,)
    elif isinstance(frame.get("text"), str):
        path = ("text",)
    else:
        return None
    text = frame[path[0]] if len(path) == 1 else frame[path[0]][path[1]]
    said_by = holder.get("source") or holder.get("speaker") or holder.get("role")
    source = USER if isinstance(said_by, str) and said_by.lower() in _USERS else ASSISTANT
    return Spoken(source, text, holder.get("type") == PARTIAL, path) if text else None
