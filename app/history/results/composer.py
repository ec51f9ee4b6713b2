"""Writes the result webhook's message of a conversation that has ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from app.history.message import Message
from app.history.results.payload import payload

if TYPE_CHECKING:
    from app.history.conversation import RecordedConversation
    from app.history.results.encryption import PayloadCipher
    from app.protocol.close_codes import CloseReason


DAY: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Composer:
    """Writes the result of a conversation that has ended, good for `lifetime` seconds.

    With a `cipher`, what is written can be read by holders of the webhook's secret alone.
    """

    org_id: str = ""
    lifetime: float = DAY
    cipher: PayloadCipher | None = None

    def compose(
        self, conversation: RecordedConversation, reason: CloseReason, at: float
    ) -> Message:
        """Write the message; its id follows from the conversation's, on every replica."""
        message_id = f"msg_{conversation.start.id}"
        body = payload(conversation, reason, at, self.org_id)
        if self.cipher is not None:
            body = self.cipher.encrypt(body, message_id)
        return Message(
            message_id,
            conversation.start.id,
            at,
            at + self.lifetime,
            body,
            sealed=self.cipher is not None,
        )
