"""A socket to upstream, once `dial` has opened it."""

from __future__ import annotations

from app.websocket.connection import Connection
from app.websocket.frames import masked_header
from app.websocket.masking import apply_mask


class ClientConnection(Connection):
    """A connection to upstream: what goes is masked, what comes is not (RFC 6455 §5.1)."""

    is_server = False
    leg = "upstream"

    __slots__ = ()

    def _frame(self, opcode: int, payload: bytes) -> tuple[bytes, ...]:
        key = self._batcher.masks.take()
        return masked_header(opcode, len(payload)), key, apply_mask(payload, key)
