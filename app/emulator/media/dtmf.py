"""DTMF digits in RTP (RFC 4733), which aiortc does not know.

Their packets are taken out before aiortc's decoder sees them, and the rest is renumbered: a gap
in the numbers would starve the jitter buffer.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

PAYLOAD_TYPE: Final = 101
MIME_TYPE: Final = "audio/telephone-event"
CLOCK_RATE: Final = 8_000
DIGITS: Final = "0123456789*#ABCD"
EVENT: Final = struct.Struct("!BBH")


class DigitFilter:
    """Tells digits from sound, packet by packet.

    One press is many packets with one timestamp, the last of them sent three times (RFC 4733
    §2.5.1.4); of an Opus call Chromium sends those three alone. So a new timestamp is a digit.
    """

    def __init__(self, on_digit: Callable[[str], None]) -> None:
        self._on_digit = on_digit
        self._pressed: int | None = None
        self._taken = 0

    def number(self, sequence_number: int) -> int:
        """Give a packet of sound the number it would have had without the digits."""
        return (sequence_number - self._taken) & 0xFFFF

    def take(self, timestamp: int, payload: bytes) -> None:
        """Take a packet of telephone-event."""
        self._taken += 1
        if len(payload) < EVENT.size or timestamp == self._pressed:
            return
        event, _, _ = EVENT.unpack_from(payload)
        if event < len(DIGITS):
            self._pressed = timestamp
            self._on_digit(DIGITS[event])
