"""Real media by aiortc (an extra): offers, plays a tone, hears, echoes, catches digits."""

from __future__ import annotations

import asyncio
import contextlib
import fractions
import logging
import time
from collections import deque
from typing import TYPE_CHECKING, Final

import av
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.codecs import CODECS
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from aiortc.rtcrtpparameters import RTCRtpCodecCapability, RTCRtpCodecParameters

from app.emulator.media import dtmf
from app.emulator.media.sound import RATE, Heard, Tone, ToneDetector

if TYPE_CHECKING:
    from collections.abc import Callable

    from aioice import Candidate
    from aiortc import RTCRtpReceiver, RTCRtpTransceiver
    from aiortc.rtp import RtpPacket

log = logging.getLogger(__name__)

SAMPLES: Final = RATE // 50
LOOPBACK: Final = "127.0.0.1"
GONE: Final = frozenset({"failed", "closed"})
CLOSE: Final = 10.0
SETTLE: Final = 2.0
ECHO_BACKLOG: Final = 25  # half a second of sound
OFFERED: Final = {
    "g711": ("audio/pcmu", "audio/pcma", dtmf.MIME_TYPE),
    "opus": ("audio/opus", "audio/pcmu", "audio/pcma", dtmf.MIME_TYPE),
}


class ToneSource(MediaStreamTrack):
    """What the caller hears: a tone, then silence or the caller's own voice."""

    kind = "audio"

    def __init__(self, tone: float, tone_seconds: float) -> None:
        super().__init__()
        self.echo: deque[bytes] = deque(maxlen=ECHO_BACKLOG)
        self._tone = Tone(tone)
        self._tone_ends = tone_seconds * RATE if tone_seconds else float("inf")
        self._start: float | None = None
        self._time = 0

    async def recv(self) -> av.AudioFrame:
        """Give the next 20 ms when they are due."""
        if self.readyState != "live":
            raise MediaStreamError
        if self._start is None:
            self._start = time.monotonic()
        await asyncio.sleep(self._start + self._time / RATE - time.monotonic())
        frame = av.AudioFrame(format="s16", layout="mono", samples=SAMPLES)
        frame.planes[0].update(self._sound())
        frame.pts, frame.sample_rate = self._time, RATE
        frame.time_base = fractions.Fraction(1, RATE)
        self._time += SAMPLES
        return frame

    def _sound(self) -> bytes:
        if self._time < self._tone_ends:
            return self._tone.take(SAMPLES)
        return self.echo.popleft() if self.echo else bytes(2 * SAMPLES)


class AiortcPeer:
    """The vendor's end of a call with sound."""

    def __init__(self, codec: str, *, tone: float, tone_seconds: float, echo: bool) -> None:
        know_telephone_event()
        self.digits: asyncio.Queue[str] = asyncio.Queue(64)
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._tone_source = ToneSource(tone, tone_seconds)
        self._tone_detector = ToneDetector()
        self._echo = echo
        self._listening: asyncio.Task[None] | None = None
        self._gathering: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._connection.on("connectionstatechange", self._changed.set)
        transceiver = self._connection.addTransceiver("audio", direction="sendrecv")
        transceiver.sender.replaceTrack(self._tone_source)
        transceiver.setCodecPreferences(_capabilities(OFFERED.get(codec, OFFERED["g711"])))
        gather_loopback_too(transceiver)
        catch_digits(transceiver.receiver, self._pressed)

    async def offer(self) -> str:
        """Make the offer and gather all candidates into it."""
        self._gathering = asyncio.get_running_loop().create_task(self._gather(), name="peer:gather")
        await asyncio.shield(self._gathering)
        return str(self._connection.localDescription.sdp)

    async def accept(self, answer: str) -> None:
        """Take the answer, and start ICE and DTLS. Raises `ValueError` if it does not fit."""
        try:
            description = RTCSessionDescription(sdp=answer, type="answer")
            await self._connection.setRemoteDescription(description)
        except Exception as exc:  # foreign code parses foreign text
            raise ValueError(f"{type(exc).__name__}: the answer does not fit the offer") from exc
        track = self._connection.getTransceivers()[0].receiver.track
        self._listening = asyncio.get_running_loop().create_task(
            self._listen(track), name="peer:listen"
        )
        self._listening.add_done_callback(lambda _: self._changed.set())

    async def connected(self) -> None:
        """Wait until DTLS is up."""
        while self._connection.connectionState not in {"connected", *GONE}:
            await self._change()
        if self._connection.connectionState != "connected":
            raise ConnectionError("the media did not connect")

    async def gone(self) -> None:
        """Wait until the caller closed (its track ends), or ICE gave up on it."""
        while (
            self._connection.connectionState not in GONE
            and self._listening is not None
            and not self._listening.done()
        ):
            await self._change()

    def heard(self) -> Heard:
        """Say what was heard of the caller."""
        return self._tone_detector.heard

    async def close(self) -> None:
        """Stop both directions; not to be cut short, or aioice would leave its sockets open."""
        closing = asyncio.get_running_loop().create_task(self._close(), name="peer:close")
        cancelled = False
        while not closing.done():
            try:
                await asyncio.wait({closing})
            except asyncio.CancelledError:
                cancelled = True
        if cancelled:
            raise asyncio.CancelledError

    async def _close(self) -> None:
        if self._gathering is not None:
            await asyncio.wait({self._gathering})
        if self._listening is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SETTLE):
                    await self._settled()
            self._listening.cancel()
        self._tone_source.stop()
        try:
            async with asyncio.timeout(CLOSE):
                await self._connection.close()
        except TimeoutError:
            log.warning("a call's media did not close in time")

    async def _settled(self) -> None:
        """Wait for the end of connecting: closed before, aiortc goes on connecting."""
        while self._connection.connectionState in {"new", "connecting"}:
            await self._change()

    async def _gather(self) -> None:
        await self._connection.setLocalDescription(await self._connection.createOffer())

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    async def _listen(self, track: MediaStreamTrack) -> None:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE, frame_size=SAMPLES)
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                if not isinstance(frame, av.AudioFrame):
                    continue
                for piece in resampler.resample(frame):
                    sound = bytes(piece.planes[0])[: 2 * piece.samples]
                    self._tone_detector.take(sound)
                    if self._echo:
                        self._tone_source.echo.append(sound)

    def _pressed(self, digit: str) -> None:
        with contextlib.suppress(asyncio.QueueFull):
            self.digits.put_nowait(digit)


def know_telephone_event() -> None:
    """Teach aiortc the codec, once for the process: its list is the only place for that."""
    if all(codec.mimeType != dtmf.MIME_TYPE for codec in CODECS["audio"]):
        CODECS["audio"].append(
            RTCRtpCodecParameters(
                mimeType=dtmf.MIME_TYPE,
                clockRate=dtmf.CLOCK_RATE,
                channels=1,
                payloadType=dtmf.PAYLOAD_TYPE,
                parameters={"0-15": None},
            )
        )


def gather_loopback_too(transceiver: RTCRtpTransceiver) -> None:
    """Offer a loopback candidate: aioice has none, and without a network it is the only one."""
    connection = transceiver.receiver.transport.transport.iceGatherer._connection
    gather = connection.get_component_candidates

    async def with_loopback(
        component: int,
        addresses: list[str],
        timeout: int = 5,  # noqa: ASYNC109 - its signature
    ) -> list[Candidate]:
        return await gather(component, [*addresses, LOOPBACK], timeout)

    connection.get_component_candidates = with_loopback  # type: ignore[method-assign]


def catch_digits(receiver: RTCRtpReceiver, on_digit: Callable[[str], None]) -> None:
    """Take telephone-event packets out of what this receiver decodes."""
    digits = dtmf.DigitFilter(on_digit)
    handle = receiver._handle_rtp_packet

    async def filtered(packet: RtpPacket, arrival_time_ms: int) -> None:
        if packet.payload_type == dtmf.PAYLOAD_TYPE:
            digits.take(packet.timestamp, packet.payload)
            return
        packet.sequence_number = digits.number(packet.sequence_number)
        await handle(packet, arrival_time_ms)

    receiver._handle_rtp_packet = filtered  # type: ignore[method-assign]


def _capabilities(mime_types: tuple[str, ...]) -> list[RTCRtpCodecCapability]:
    known = RTCRtpSender.getCapabilities("audio").codecs
    return [codec for wanted in mime_types for codec in known if codec.mimeType.lower() == wanted]
