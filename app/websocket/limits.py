"""Limits of one WebSocket leg, in bytes, counts and seconds."""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True)
class WireLimits:
    """Every bound of one leg, in bytes, counts and seconds; browsers and upstream get one each.

    - `max_message`: bytes of a message, whole or in fragments, and so of each frame; then 1009.
    - `max_fragments`: frames of one message; then 1009.
    - `max_waiting`: bytes unread by the peer beyond which its next ping ends the leg (4508).
    - `high_water`, `low_water`: bytes unwritten at which the owner hears `pause_writing` and
      `resume_writing`. Higher: fewer pauses, more memory for each slow reader.
    - `controls_per_second`, `control_burst`: pings and pongs of a peer; then 4429.
    - `handshake_timeout`: seconds for a whole HTTP request to arrive.
    - `max_request_head`: bytes of its head.
    - `close_timeout`: seconds that a peer has to finish a closing handshake; then TCP is aborted.
    - `max_discarded`: bytes that a peer may send after its leg has failed; then TCP is aborted.
    - `ping_interval`: seconds between pings; 0: none.
    - `ping_timeout`: seconds after a ping in which a peer that sends no byte is dead (1006).
    """

    max_message: int = 64 * KIB
    max_fragments: int = 1024
    max_waiting: int = MIB
    high_water: int = 64 * KIB
    low_water: int = 16 * KIB
    controls_per_second: float = 10
    control_burst: int = 30
    handshake_timeout: float = 5
    max_request_head: int = 64 * KIB
    close_timeout: float = 5
    max_discarded: int = 16 * MIB
    ping_interval: float = 15
    ping_timeout: float = 10
