"""The port to the recorder: every method returns at once and never raises.

What is recorded is put into a bounded queue; a slow or lost store delays no frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.protocol.approval import SettledApproval
    from app.protocol.close_codes import CloseReason
    from app.protocol.tool import ToolCall, ToolResult

NOTED_FROM_BROWSER: Final = frozenset({"sdpAnswer", "terminate"})
"""Types of a browser's frames that are noted; its chat messages come back as echoes (S D L).

Others need not be reported: a relay that knows the type saves the call.
"""

UNNOTED_FROM_UPSTREAM: Final = frozenset({"websocketToolRequest"})
"""Types of upstream's frames that need not be reported: tool calls are, with their outcome."""


class Direction(StrEnum):
    """Which way a frame went; the first two are also labels of metrics.

    `HELD`: it was said to pages and held from them, while a person had taken over.
    """

    FROM_BROWSER = "from_browser"
    FROM_UPSTREAM = "from_upstream"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class ConversationStart:
    """Who talks to whom, and what the agent was told at the start. Times are Unix seconds.

    `tenant` owns the agent; None: the operator.
    `requested_agent` is the agent that was asked for, where another one serves.
    """

    id: str
    agent: str
    call_type: str
    subject: str
    endpoint: str | None
    additional_data: Mapping[str, Any]
    started_at: float
    requested_agent: str | None = None
    tenant: str | None = None


class Recorder(Protocol):
    """What one conversation tells history; a session's frames are reported in their order."""

    def started(self, start: ConversationStart) -> None:
        """Note that a conversation began."""
        ...

    def frame(self, session_id: str, direction: Direction, at: float, payload: bytes) -> None:
        """Note one relayed frame as it was sent; parsing happens off the hot path."""
        ...

    def tool(
        self,
        session_id: str,
        call: ToolCall,
        result: ToolResult,
        at: float,
        seconds: float,
        approval: SettledApproval | None = None,
    ) -> None:
        """Note a finished tool call; `approval` where the tool needed one."""
        ...

    def ended(self, session_id: str, reason: CloseReason, at: float) -> None:
        """Note that a conversation ended, and why."""
        ...
