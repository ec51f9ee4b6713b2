"""What the control of a live conversation uses of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from app.relay.page_host import PageHost

if TYPE_CHECKING:
    from app.protocol.principal import CallType
    from app.relay.pages import Pages


class ControlHost(PageHost, Protocol):
    """What control uses of its conversation."""

    pages: Pages | None
    call_type: CallType

    @property
    def has_begun(self) -> bool:
        """Whether `relay.session` was sent."""
        ...

    @property
    def browser_state(self) -> str:
        """Whether any page is "here", all are "away", or there was "none" to begin with."""
        ...


class EventSender(Protocol):
    """Sends the gateway's own events."""

    def publish_event(self, message_id: str | None, name: str, data: dict[str, object]) -> None:
        """Send every page the event `relay.<name>`, kept until it is there, and record it."""
        ...
