"""A call without sound: a well-formed offer without a media endpoint."""

from __future__ import annotations

import asyncio
import secrets
from typing import Final

from app.emulator.media.sound import Heard

CODECS: Final = {
    "g711": (("0", "PCMU/8000"), ("8", "PCMA/8000")),
    "opus": (("96", "opus/48000/2"), ("0", "PCMU/8000"), ("8", "PCMA/8000")),
}
OFFER: Final = """\
v=0
o=- {session} {session} IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0
a=msid-semantic:WMS *
m=audio 9 UDP/TLS/RTP/SAVPF {payloads} 101
c=IN IP4 127.0.0.1
a=sendrecv
a=mid:0
a=rtcp-mux
{maps}
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=candidate:1 1 udp 2130706431 127.0.0.1 9 typ host
a=end-of-candidates
a=ice-ufrag:{ufrag}
a=ice-pwd:{pwd}
a=fingerprint:sha-256 {fingerprint}
a=setup:actpass
"""


class CannedPeer:
    """Offers a call, takes any SDP for an answer, is connected at once, and hears nothing."""

    def __init__(self, codec: str) -> None:
        self._codec = codec
        self.digits: asyncio.Queue[str] = asyncio.Queue(64)

    async def offer(self) -> str:
        """Make an offer like a SIP stack's."""
        codecs = CODECS.get(self._codec, CODECS["g711"])
        text = OFFER.format(
            session=secrets.randbits(31),
            payloads=" ".join(payload for payload, _ in codecs),
            maps="\n".join(f"a=rtpmap:{payload} {name}" for payload, name in codecs),
            ufrag=secrets.token_hex(2),
            pwd=secrets.token_hex(11),
            fingerprint=secrets.token_bytes(32).hex(":").upper(),
        )
        return text.replace("\n", "\r\n")

    async def accept(self, answer: str) -> None:
        """Take the answer, or raise `ValueError` if it is no SDP."""
        if not answer.startswith("v=0"):
            raise ValueError("not SDP")

    async def connected(self) -> None:
        """Return at once."""

    async def gone(self) -> None:
        """Wait for ever: there is no media connection that could end."""
        await asyncio.Event().wait()

    def heard(self) -> Heard:
        """Say that nothing was heard."""
        return Heard()

    async def close(self) -> None:
        """Let go of nothing."""
