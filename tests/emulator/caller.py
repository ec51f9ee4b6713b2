"""A caller with real media: what a browser does, by aiortc, inside the test."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import struct
from typing import TYPE_CHECKING, Any, Self

import av
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from app.emulator.media import dtmf
from app.emulator.media.peer import ToneSource, gather_loopback_too, know_telephone_event
from app.emulator.media.sound import RATE, ToneDetector

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.emulator.media.sound import Heard


class Caller:
    """Answers an offer, plays a tone into the call, listens, and presses keys."""

    def __init__(self, tone: float = 1000.0) -> None:
        know_telephone_event()
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.codecs: list[str] = []
        self._tone_source = ToneSource(tone, 0.0)
        self._tone_detector = ToneDetector()
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._digits: list[bytes] = []
        self._extra = 0
        self._events = itertools.count(1)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await self.connection.close()

    async def answer(self, offer: str) -> str:
        await self.connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        (transceiver,) = self.connection.getTransceivers()
        transceiver.sender.replaceTrack(self._tone_source)
        transceiver.direction = "sendrecv"
        gather_loopback_too(transceiver)
        self._send_digits_between(transceiver.sender.transport)
        self._tasks.append(asyncio.create_task(self._listen(transceiver.receiver.track)))
        await self.connection.setLocalDescription(await self.connection.createAnswer())
        sdp = self.connection.localDescription.sdp
        self.codecs = [
            line.split()[1].lower() for line in sdp.splitlines() if line.startswith("a=rtpmap:")
        ]
        return sdp

    async def hears(self, holds: Callable[[Heard], bool], deadline: float = 15.0) -> Heard:
        async with asyncio.timeout(deadline):
            while not holds(self._tone_detector.heard):
                self._changed.clear()
                await self._changed.wait()
        return self._tone_detector.heard

    def press(self, digits: str, packets: int = 5) -> None:
        """Queue the packets of these keys: `packets` of each press, the last three its end."""
        for digit in digits:
            stamp = next(self._events) * 4_000
            for number in range(packets):
                end = 0x80 if number >= packets - 3 else 0
                body = struct.pack("!BBH", dtmf.DIGITS.index(digit), end | 10, 160 * number)
                self._digits.append(struct.pack("!BBHI", 0x80, dtmf.PAYLOAD_TYPE, 0, stamp) + body)

    def _send_digits_between(self, transport: Any) -> None:
        """Send them as a browser does: in the audio's stream, numbered with it."""
        send = transport._send_rtp

        async def with_digits(packet: bytes) -> None:
            if 192 <= packet[1] <= 223:  # RTCP
                await send(packet)
                return
            number = struct.unpack_from("!H", packet, 2)[0]
            while self._digits:
                digit = self._digits.pop(0)
                head = digit[:2] + self._numbered(number) + digit[4:8]
                await send(head + packet[8:12] + digit[8:])
                self._extra += 1
            await send(packet[:2] + self._numbered(number) + packet[4:])

        transport._send_rtp = with_digits

    def _numbered(self, number: int) -> bytes:
        return struct.pack("!H", (number + self._extra) & 0xFFFF)

    async def _listen(self, track: MediaStreamTrack) -> None:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
        with contextlib.suppress(MediaStreamError):
            while True:
                received = await track.recv()
                assert isinstance(received, av.AudioFrame)
                for piece in resampler.resample(received):
                    self._tone_detector.take(bytes(piece.planes[0])[: 2 * piece.samples])
                self._changed.set()
