"""What the rules want done: values that the relay carries out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from app.protocol.close_codes import CloseReason
    from app.protocol.tool import Outcome, ToolCall
    from app.protocol.vendor_failures import VendorFailure


@dataclass(frozen=True, slots=True)
class Forward:
    """Send the frame that was judged on to the other side, as the bytes it came in."""


@dataclass(frozen=True, slots=True)
class ToUpstream:
    """Send a frame to the vendor."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class ToBrowser:
    """Send a frame to the browser, numbered and held until it is confirmed."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Publish:
    """Send every page a text that the vendor did not say, numbered and held, and record it."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Held:
    """Show no page the vendor's frame, while a person speaks instead of the agent."""


@dataclass(frozen=True, slots=True)
class WantHuman:
    """The agent asks for a person, who is to talk instead of it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Announce:
    """Send one of the gateway's own frames to the browser, unnumbered and not held."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class RunTool:
    """Run a registered tool beside the relay."""

    call: ToolCall


@dataclass(frozen=True, slots=True)
class AwaitBrowserTool:
    """The browser was asked to run a tool: it has the tool's time-out to answer."""

    call: ToolCall


@dataclass(frozen=True, slots=True)
class DecideApproval:
    """The page says whether a tool may run."""

    call_id: str
    approve: bool


@dataclass(frozen=True, slots=True)
class ToolSettled:
    """A call was answered without the backend's help: count it under its outcome."""

    call: ToolCall
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class AwaitUpstreamClose:
    """Upstream announced the end, or was asked to end: it has a moment to close its socket."""


@dataclass(frozen=True, slots=True)
class SdpExchanged:
    """An offer or an answer has passed: there is something new to tell of the call."""


@dataclass(frozen=True, slots=True)
class Acked:
    """Frames that were held for the browser have been let go: there is room again."""


@dataclass(frozen=True, slots=True)
class Count:
    """Count a refusal or an oddity under a name from a closed set."""

    name: str


@dataclass(frozen=True, slots=True)
class VendorRefused:
    """The vendor told of a failure that it is known for; `said` are its own words, for the log."""

    failure: VendorFailure
    said: str


@dataclass(frozen=True, slots=True)
class End:
    """Hang up on both sides."""

    reason: CloseReason
    message: str | None = None


Action = (
    Forward
    | ToUpstream
    | ToBrowser
    | Publish
    | Held
    | WantHuman
    | Announce
    | RunTool
    | AwaitBrowserTool
    | DecideApproval
    | ToolSettled
    | AwaitUpstreamClose
    | SdpExchanged
    | Acked
    | Count
    | VendorRefused
    | End
)
Actions = tuple[Action, ...]

FORWARD: Final[Actions] = (Forward(),)
ACKED: Final[Actions] = (Acked(),)
NOTHING: Final[Actions] = ()
HELD: Final[Actions] = (Held(),)
"""The vendor's frame is recorded as held."""

HELD_ECHO: Final[Actions] = (Held(), Held())
"""It shows what was recorded before: it is not recorded."""
