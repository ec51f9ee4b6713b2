"""What the opening of upstream and the coming and going of the browser both work on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.protocol.close_codes import CloseReason
    from app.relay.deadlines import SessionDeadlines
    from app.relay.dispatch import Dispatcher
    from app.relay.queueing import QueueWait
    from app.relay.scope import Scope


@dataclass(frozen=True, slots=True)
class RelayParts:
    """The parts of one relay. `end` ends the conversation; the first reason wins."""

    scope: Scope
    dispatcher: Dispatcher
    deadlines: SessionDeadlines
    queue: QueueWait
    end: Callable[[CloseReason], None]
