"""Agents for calls, good and spoilt, and what a page needs to call them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

AGENT_TONE = 440.0


def voice(**more: Any) -> dict[str, Any]:
    data = {"agent": "voice", "tone": AGENT_TONE, "reportSeconds": 0.3, **more}
    return {"call_types": ["webCall"], "initialize": {"additionalData": data}}


AGENTS = {
    "g711": voice(codec="g711", sdpField="invite"),
    "opus": voice(codec="opus", sdpField="sdpOffer"),
    "sip": voice(codec="g711", sdpProfile="RTP/SAVPF"),
    "no_fingerprint": voice(sdpSpoil="no_fingerprint"),
    "no_ice": voice(sdpSpoil="no_ice"),
    "no_rtcp_mux": voice(sdpSpoil="no_rtcp_mux"),
    "not_sdp": voice(sdpSpoil="not_sdp"),
    "deaf": voice(media=False, connectSeconds=60.0),
    "no_offer": {"call_types": ["webCall"], "initialize": {"additionalData": {"agent": "echo"}}},
    "chat": {"call_types": ["chat"], "initialize": {"additionalData": {"agent": "echo"}}},
}

SETUP = (Path(__file__).parent / "voice.js").read_text()
