"""A simulated replica that is behind with its beat knows it."""

from __future__ import annotations

from tests.scale.backend import PipelinedBackend
from tests.scale.beats import LATE_AFTER, VITAL, SharedConnector

LEASE = 15.0


class Answering(PipelinedBackend):
    """Answers every command at once."""

    async def execute(self, *command: object) -> object:
        return command[0]


async def test_a_replica_is_late_until_its_owners_beat_was_answered_and_again_without_one() -> None:
    now = 100.0
    entries, beats = Answering(0), Answering(0)
    connector = SharedConnector("redis+cluster://127.0.0.1:1", entries, beats, lambda: now)
    assert connector.backend(VITAL + 1) is entries
    assert connector.is_late(LEASE), "it has not beaten yet"
    vital = connector.backend(VITAL)
    assert await vital.execute("PING") == "PING"
    assert connector.is_late(LEASE), "an answer to something else is no beat"
    assert await vital.execute("EVALSHA", "abc", 0) == "EVALSHA"
    assert not connector.is_late(LEASE)
    now += LEASE * LATE_AFTER
    assert not connector.is_late(LEASE)
    now += 0.01
    assert connector.is_late(LEASE)
