"""A session with everything it needs, and short ways to make frames for it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from app.protocol.frame_counters import FrameCounters
from app.protocol.initialize import Profile
from app.protocol.rate_limit import TokenBucket
from app.protocol.replay_buffer import ReplayBuffer
from app.protocol.session import Session

if TYPE_CHECKING:
    from app.protocol.actions import Actions

NOW = 1_800_000_000.0
INITIALIZE = b'{"type":"initialize","devRequest":{"callType":"chat"}}'


def session(
    *,
    tools: frozenset[str] = frozenset({"look_up"}),
    browser_tools: frozenset[str] = frozenset({"show"}),
    limit: int | None = 1 << 20,
    rate: float = 20.0,
    burst: int = 1000,
    secrets: frozenset[bytes] = frozenset(),
    counters: FrameCounters | None = None,
    **profile: Any,
) -> Session:
    """One that has not begun."""
    return Session(
        "s-1",
        Profile("support", browser_tools=browser_tools, **profile),
        tools,
        TokenBucket(rate, burst),
        ReplayBuffer(limit),
        counters or FrameCounters(),
        secrets,
    )


def opened(**given: Any) -> Session:
    """One that has sent its initialize."""
    rules = session(**given)
    rules.open(INITIALIZE)
    return rules


def live(**given: Any) -> Session:
    """One that upstream has spoken in."""
    rules = opened(**given)
    rules.from_upstream(frame("event", name="connection"), NOW)
    return rules


def frame(kind: str, **members: Any) -> bytes:
    """A frame as a browser or the vendor would write it."""
    members = {"type": kind, "timestamp": "2026-01-01T00:00:00Z", **members}
    return json.dumps(members, separators=(",", ":")).encode()


def chat(text: str = "hello") -> bytes:
    return frame("incomingChatMessage", content=text)


def asks(call_id: Any, name: Any = "look_up", **more: Any) -> bytes:
    """The agent's request for a tool."""
    content = {"id": call_id, "toolName": name, "args": {"n": 1}}
    return frame("websocketToolRequest", channelId="c-1", content=content, **more)


def answers(call_id: Any, result: Any = 1) -> bytes:
    """A browser's answer."""
    content = {"id": call_id, "result": result}
    return frame("websocketToolResponse", channelId=None, content=content)


def only(actions: Actions, kind: type) -> Any:
    """The only action of one kind."""
    (found,) = [action for action in actions if type(action) is kind]
    return found
