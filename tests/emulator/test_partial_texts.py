"""`--partials`: each final text comes behind its partial ones, for both sources."""

from __future__ import annotations

import itertools

from app.emulator import Emulator, Options
from tests.emulator.peer import Peer


async def test_partial_texts_precede_final_ones_of_both_sources() -> None:
    said = [f"This is number {number} of my words." for number in range(6)]
    async with Emulator(Options(partials=True)) as emulator, Peer.dial(emulator) as peer:
        await peer.initialize("echo")
        for text in said:
            await peer.say(text)
        await peer.say("bye")
        await peer.closed()
    contents = [frame["content"] for frame in peer.of("text")]
    finals = [one for one in contents if one.get("type") != "potential"]
    for source in ("user", "assistant"):
        assert [one["text"] for one in finals if one["source"] == source] == [*said, "bye"]
        assert [one for one in contents if one["source"] == source and one not in finals]
    behind = list(itertools.pairwise(contents))
    pairs = [
        (before["text"], final["text"])
        for before, final in behind
        if final in finals and before not in finals and before["source"] == final["source"]
    ]
    assert [one for one in pairs if one[0] == one[1]]
    assert [one for one in pairs if one[0] != one[1]]  # final texts that differ from the last
    assert [
        before
        for before, after in behind
        if before not in finals and before["source"] != after["source"]
    ]  # partial texts without a final one


async def test_without_the_option_there_are_none_unless_a_call_asks() -> None:
    async with Emulator(Options()) as emulator:
        for asked, wanted in ((False, False), (True, True)):
            async with Peer.dial(emulator) as peer:
                await peer.initialize("echo", partials=asked)
                await peer.say("bye")
                await peer.closed()
            found = [one for one in peer.of("text") if one["content"].get("type") == "potential"]
            assert bool(found) is wanted
