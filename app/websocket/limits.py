"""Limits of one WebSocket leg, in bytes, counts and seconds."""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True)
class WireLimits:
    """Every bound of one leg; browsers and upstream get one each.

    `max_message` bounds a message, whole or in fragments, and so each of its frames; past it,
    and past `max_fragments`, the leg ends with 1009. `max_waiting` bounds what waits for a peer
    that does not read before another control frame is answered: past it the peer is cut.
    Between `high_water` and `low_water` the owner hears `pause_writing` and `resume_writing`.
    Pings and pongs from a peer count against `controls_per_second` after a burst of
    `control_burst`. `handshake_timeout` is for a whole HTTP request to arrive, `max_request_head`
    bounds its head. A peer has `close_timeout` to finish a closing handshake, and at most
    `max_discarded` bytes to send after its leg has failed. A ping goes out every `ping_interval`
    (0: never), and a peer that has sent no byte `ping_timeout` later is dead.
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
