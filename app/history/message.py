"""A result on its way to the webhook, as a value: written once, sent under one id."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from app.history.payload import payload

if TYPE_CHECKING:
    from app.history.conversation import Conversation
    from app.history.seal import Seal
    from app.protocol.closing import CloseReason

DAY: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Message:
    """One result. `deadline` is in Unix seconds: it is never sent after that."""

    id: str
    conversation_id: str
    created_at: float
    deadline: float
    body: bytes = field(repr=False)
    sealed: bool = False


@dataclass(frozen=True, slots=True)
class Composer:
    """Writes the result of a conversation that has ended, good for `lifetime` seconds.

    With a `seal`, what is written can be read by holders of the webhook's secret alone.
    """

    org_id: str = ""
    lifetime: float = DAY
    seal: Seal | None = None

    def compose(self, conversation: Conversation, reason: CloseReason, at: float) -> Message:
        """Write the message; its id follows from the conversation's, whoever writes it."""
        message_id = f"msg_{conversation.start.id}"
        body = payload(conversation, reason, at, self.org_id)
        if self.seal is not None:
            body = self.seal.close(body, message_id)
        return Message(
            message_id,
            conversation.start.id,
            at,
            at + self.lifetime,
            body,
            sealed=self.seal is not None,
        )
