"""SDP as lines: what makes an offer look like a SIP stack's, and what breaks it on purpose."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PROFILE: Final = re.compile(r"^(m=audio \d+ )\S+", re.MULTILINE)
HASH: Final = re.compile(r"^(a=fingerprint:\S+ )\S+", re.MULTILINE)


def with_profile(sdp: str, profile: str) -> str:
    """Name another RTP profile in the media line, for example `RTP/SAVPF`."""
    return PROFILE.sub(rf"\g<1>{profile}", sdp)


def without(sdp: str, *starts: str) -> str:
    """Leave out the lines that start so."""
    return "".join(line for line in sdp.splitlines(keepends=True) if not line.startswith(starts))


SPOILT: Final[Mapping[str, Callable[[str], str]]] = MappingProxyType(
    {
        "no_fingerprint": lambda sdp: without(sdp, "a=fingerprint:"),
        "wrong_fingerprint": lambda sdp: HASH.sub(r"\g<1>" + ":".join(["00"] * 32), sdp),
        "no_ice": lambda sdp: without(sdp, "a=ice-ufrag:", "a=ice-pwd:"),
        "no_rtcp_mux": lambda sdp: without(sdp, "a=rtcp-mux"),
        "no_candidates": lambda sdp: without(sdp, "a=candidate:"),
        "not_sdp": lambda _: "this is no SDP",
    }
)


def prepared(sdp: str, profile: str, spoil: str) -> str:
    """Apply the settings `sdpProfile` and `sdpSpoil`; empty ones change nothing."""
    if profile:
        sdp = with_profile(sdp, profile)
    return SPOILT[spoil](sdp) if spoil in SPOILT else sdp
