"""A browser that loses its socket loses nothing, or is told so."""

from __future__ import annotations

import asyncio
import json

import pytest

from app.protocol.close_codes import TOO_MANY
from app.relay.browser_life import BrowserLife
from tests.protocol.rules import answers, asks, chat, frame
from tests.relay.stage import Stage, text
from tests.support.memory import MemorySocket
from tests.support.waiting import until


async def test_missed_frames_come_again_exactly() -> None:
    async with Stage() as stage:
        await stage.live()
        stage.browser.say(chat("mine"))
        stage.vendor.say(text("one"), text("two"))
        stage.browser.drop()
        stage.vendor.say(text("three"))
        later = stage.back(received=2)
        assert later.kinds[0] == "relay.resumed"
        assert later.frames[0]["data"] == {"replayed": 2, "received": 1}
        assert later.numbered == [text("two"), text("three")]
        stage.vendor.say(text("four"))
        assert later.sent[-1] == text("four")
        later.say(chat("again"))
        assert stage.vendor.sent[-1] == chat("again")


async def test_newest_socket_wins() -> None:
    async with Stage() as stage:
        await stage.live()
        later = stage.back(received=1)
        assert stage.browser.ended == (4409, "resumed_elsewhere")
        assert stage.browser.frames[-1]["data"]["code"] == 4409
        stage.browser.say(chat("from the older"))
        later.say(chat("from the newer"))
        assert stage.vendor.sent[1:] == [chat("from the newer")]
        assert not stage.done


async def test_older_socket_that_goes_is_no_loss() -> None:
    async with Stage(resume_window=0.05) as stage:
        await stage.live()
        later = stage.back(received=1)
        stage.browser.drop()
        assert stage.relay.browser.life is BrowserLife.CONNECTED
        stage.vendor.say(text("still"))
        assert later.sent[-1] == text("still")


async def test_dead_socket_does_not_take_the_next_one_along() -> None:
    async with Stage() as stage:
        await stage.live()
        dead = MemorySocket()
        dead.drop()
        stage.back(received=0, socket=dead)  # it will be told of the loss in the loop's next turn
        later = stage.back(received=0)
        stage.vendor.say(text("one"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        stage.vendor.say(text("two"))
        assert later.numbered[-2:] == [text("one"), text("two")]
        assert stage.relay.browser.is_connected


@pytest.mark.parametrize("received", [0, 99])
async def test_what_is_no_longer_held_cannot_be_resumed(received: int) -> None:
    async with Stage() as stage:
        await stage.live()
        stage.vendor.say(text("one"))
        stage.browser.say({"type": "relay.received", "count": 2})
        stage.browser.drop()
        later = stage.back(received)
        assert later.ended == (4410, "cannot_resume")
        assert [error["data"]["code"] for error in later.frames] == [4410]
        await stage.over()
        assert stage.vendor.kinds[-1] == "terminate"
        assert stage.count("relay_resumes_total", outcome="cannot_resume") == 1


async def test_failed_resume_does_not_disturb_a_browser_that_is_here() -> None:
    async with Stage() as stage:
        await stage.live()
        assert stage.back(99).code == 4410
        stage.vendor.say(text("go on"))
        assert stage.browser.sent[-1] == text("go on")
        assert stage.browser.ended is None
        assert not stage.done


async def test_unanswered_request_is_shown_again_to_a_browser_that_had_it() -> None:
    async with Stage() as stage:
        await stage.live()
        stage.vendor.say(asks("1", "show"))
        stage.browser.drop()
        second = stage.back(received=2)
        assert second.numbered == [asks("1", "show")]
        second.drop()
        third = stage.back(received=2)
        assert third.numbered == [asks("1", "show")]
        third.say(answers("1"))
        assert stage.vendor.sent[-1] == answers("1")
        third.drop()
        assert stage.back(received=3).numbered == []


async def test_request_that_was_missed_is_replayed_once() -> None:
    async with Stage() as stage:
        await stage.live()
        stage.browser.drop()
        stage.vendor.say(asks("1", "show"))
        assert stage.back(received=1).numbered == [asks("1", "show")]


async def test_upstream_is_read_no_further_while_nobody_takes_what_it_says() -> None:
    async with Stage(resume_buffer=1024) as stage:
        await stage.live()
        stage.browser.drop()
        stage.vendor.say(text("x" * 100))
        assert [stage.vendor.reading] == [True]
        stage.vendor.say(text("x" * 1000))
        assert [stage.vendor.reading] == [False]
        assert len(stage.back(received=1).numbered) == 2
        await until(lambda: stage.vendor.reading)


async def test_buffer_stays_within_its_bound_while_the_browser_is_here() -> None:
    async with Stage(resume_buffer=1024) as stage:
        await stage.live()
        for _ in range(50):
            stage.vendor.say(text("x" * 300))
            assert stage.relay.session.outgoing.size <= 1024
        assert stage.vendor.reading
        assert len(stage.browser.numbered) == 51


async def test_browser_that_stays_away_ends_upstream() -> None:
    async with Stage(resume_window=0.05) as stage:
        await stage.live()
        stage.browser.drop()
        assert stage.relay.browser.life is BrowserLife.AWAY
        assert repr(stage.relay) == "<Relay s-1: OPEN, browser away>"
        await stage.over()
        assert stage.vendor.kinds[-1] == "terminate"


async def test_browser_that_comes_back_stops_the_clock() -> None:
    async with Stage(resume_window=0.2) as stage:
        await stage.live()
        stage.browser.drop()
        stage.back(received=1).drop()
        last = stage.back(received=1)
        # More than a window after the last loss, by a timer of the same loop.
        passed = asyncio.Event()
        asyncio.get_running_loop().call_later(0.3, passed.set)
        await passed.wait()
        assert not stage.done
        stage.vendor.say(text("still here"))
        assert last.sent[-1] == text("still here")


@pytest.mark.parametrize(
    ("announced", "code"), [(True, 1000), (False, 4502)], ids=["ended", "failed"]
)
async def test_end_that_came_while_the_browser_was_away_is_told_on_its_return(
    announced: bool, code: int
) -> None:
    async with Stage() as stage:
        await stage.live()
        stage.browser.drop()
        stage.vendor.say(text("farewell"))
        if announced:
            stage.vendor.say(frame("conversationResult", result={}))
        stage.vendor.drop()
        await until(lambda: stage.relay.session.phase == "closed")
        assert not stage.done
        later = stage.back(received=1)
        kinds = ["text", "conversationResult"] if announced else ["text", "error"]
        assert later.kinds == ["relay.resumed", *kinds]
        assert later.code == code
        await stage.over()


async def test_ping_is_answered_outside_the_counts_and_with_what_has_arrived() -> None:
    async with Stage() as stage:
        await stage.live()
        stage.browser.say(chat("one"), {"type": "relay.ping"}, chat("two"), {"type": "relay.ping"})
        pongs = [one for one in stage.browser.frames if one.get("name") == "relay.pong"]
        assert [pong["data"] for pong in pongs] == [{"received": 1}, {"received": 2}]
        assert stage.relay.session.received == 2
        assert stage.relay.session.outgoing.count == 1
        assert stage.vendor.kinds == ["initialize", "incomingChatMessage", "incomingChatMessage"]


async def test_ping_before_upstream_is_there_is_answered_too() -> None:
    async with Stage() as stage:
        stage.browser.say({"type": "relay.ping"})
        await until(lambda: "relay.pong" in stage.browser.kinds)
        assert stage.vendor.sent == []


async def test_pings_do_not_keep_an_idle_session() -> None:
    async with Stage(idle_timeout=0.4) as stage:
        await stage.live()
        for _ in range(40):
            stage.browser.say({"type": "relay.ping"})
            if stage.done:
                break
            await asyncio.sleep(0.05)
        assert stage.browser.code == 4408


async def test_flood_of_pings_is_a_flood() -> None:
    async with Stage(frames_per_second=1.0, frame_burst=5) as stage:
        await stage.live()
        for _ in range(20):
            stage.browser.say({"type": "relay.ping"})
        await stage.over()
        assert stage.browser.code == 4429


@pytest.mark.parametrize("phase", ["before upstream", "live"])
async def test_browser_that_asked_for_the_end_and_left_is_not_waited_for(phase: str) -> None:
    async with Stage(resume_window=30.0) as stage:
        if phase == "live":
            await stage.live()
        stage.browser.say({"type": "terminate"})
        stage.browser.drop()
        async with asyncio.timeout(20):
            await stage.over()
        assert stage.count("relay_session_seconds_count") == 1
        assert stage.count("relay_session_seconds_sum") < 20


async def test_browser_that_asked_for_the_end_and_loses_its_socket_in_the_closing_is_let_go() -> (
    None
):
    async with Stage(browser=MemorySocket(polite=False), resume_window=30.0) as stage:
        await stage.live()
        stage.browser.say({"type": "terminate"})
        stage.vendor.drop()
        await until(lambda: stage.browser.code == 1000)
        stage.browser.drop()
        async with asyncio.timeout(20):
            await stage.over()


async def test_time_that_an_ended_session_waits_for_its_browser_is_not_its_duration() -> None:
    async with Stage(resume_window=1.5) as stage:
        await stage.live()
        stage.browser.drop()
        stage.vendor.drop()
        await stage.over()
        assert stage.count("relay_session_seconds_sum") < 1.4


async def test_goodbye_that_nobody_comes_back_for_is_given_up() -> None:
    async with Stage(resume_window=0.05) as stage:
        await stage.live()
        stage.browser.drop()
        stage.vendor.drop()
        await stage.over()


async def test_browser_that_is_refused_for_good_is_not_waited_for() -> None:
    async with Stage() as stage:
        await stage.live()
        stage.relay.end(TOO_MANY)
        await stage.over()
        assert stage.browser.code == 4429


async def test_slow_reader_may_come_back_for_what_it_missed() -> None:
    async with Stage(
        browser=MemorySocket(holds=True), resume_buffer=1 << 20, outbox=100_000
    ) as stage:
        await stage.live()
        sent = [text(f"{at}" * 30_000) for at in range(4)]
        stage.vendor.say(*sent)
        assert stage.browser.code == 4508
        assert not stage.done
        later = stage.back(received=1)
        assert later.numbered[:4] == sent
        assert json.loads(later.numbered[4])["data"]["code"] == 4508


async def test_vendor_s_browser_cannot_come_back() -> None:
    async with Stage(native=False) as stage:
        await stage.live()
        stage.browser.drop()
        await stage.over()
        assert stage.vendor.kinds[-1] == "terminate"


async def test_confirmation_makes_room() -> None:
    async with Stage() as stage:
        await stage.live()
        stage.vendor.say(text("one"), text("two"))
        stage.browser.say({"type": "relay.received", "count": 2})
        assert stage.relay.session.outgoing.size == len(text("two"))
        assert stage.vendor.kinds == ["initialize"]


async def test_resumed_browser_is_not_read_while_the_vendor_is_slow() -> None:
    async with Stage(vendor=MemorySocket(holds=True)) as stage:
        stage.ready.set()
        await until(lambda: stage.vendor.write_buffer_size)
        stage.vendor.say(frame("event", name="connection"))
        stage.browser.say(chat("x" * 70_000))
        stage.browser.drop()
        later = stage.back(received=1)
        assert not later.reading
        stage.vendor.read_on()
        assert later.reading


async def test_slow_resumed_browser_stops_upstream_too() -> None:
    async with Stage(resume_buffer=1 << 20) as stage:
        await stage.live()
        stage.browser.drop()
        stage.vendor.say(text("x" * 40_000), text("y" * 40_000))
        later = stage.back(1, MemorySocket(holds=True))
        stage.vendor.say(text("z"))
        assert not stage.vendor.reading
        later.read_on()
        assert stage.vendor.reading
