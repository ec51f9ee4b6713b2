"""A browser on replica "b", its conversation on replica "a", a real Redis in between."""

from __future__ import annotations

import asyncio
import random
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from app.cluster.bridge import WINDOW
from app.cluster.browser_bridge import BROKEN
from app.cluster.remote_socket import BridgeTimings
from app.protocol.close_codes import CANNOT_RESUME
from app.protocol.errors import StoreUnavailable
from app.websocket.interface import CloseEvent
from tests.cluster.replica import PATIENT, Replica, replicas
from tests.cluster.sockets import Browser, Owner
from tests.state.conftest import row
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.redis import RedisServer


@asynccontextmanager
async def bridged(
    server: RedisServer,
    prefix: str,
    *,
    reads: bool = True,
    timings: BridgeTimings | None = None,
) -> AsyncIterator[tuple[Browser, Owner, Replica, Replica]]:
    """A browser on "b" that "a" has accepted."""
    async with replicas(server, prefix, timings) as (a, b):
        browser = Browser(reads=reads)
        async with serving(b, browser):
            await until(lambda: a.owners)
            yield browser, a.owners[0], a, b


@asynccontextmanager
async def serving(replica: Replica, browser: Browser) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(replica.bridges.serve(browser, row(), {"received": 7}))
    try:
        yield task
    finally:
        if not browser.lost:
            browser.leave()
        async with asyncio.timeout(20):
            await task


# Silence is noticed sooner than in life, so that tests of it are quick.
ALERT = BridgeTimings(beat=0.4, silence=2.0)


async def test_owner_is_told_who_came(redis_server: RedisServer, prefix: str) -> None:
    async with bridged(redis_server, prefix) as (_, _, a, _):
        assert a.attached[0].session_id == "s1"
        assert a.attached[0].replica == "b"
        assert a.attached[0].hello == {"received": 7}


async def test_frames_cross_both_ways(redis_server: RedisServer, prefix: str) -> None:
    async with bridged(redis_server, prefix) as (browser, owner, _, _):
        browser.speak(b"hello", "\u00fc".encode())
        owner.socket.send_text(b"welcome")
        owner.socket.flush()
        await until(lambda: owner.heard == [b"hello", "\u00fc".encode()])
        await until(lambda: browser.heard == [b"welcome"])
        assert owner.batches
        assert repr(owner.socket).startswith("<RemoteSocket: open, ")
        assert repr(browser.receiver).startswith("<BrowserBridge: open, ")


async def test_thousands_of_frames_arrive_exact_and_in_order(
    redis_server: RedisServer, prefix: str
) -> None:
    chance = random.Random(4)  # noqa: S311
    there = [b"%d:" % n + b"x" * chance.choice((0, 10, 300, 5000)) for n in range(5000)]
    back = [b"%d;" % n + b"y" * chance.choice((0, 10, 300, 5000)) for n in range(5000)]
    async with bridged(redis_server, prefix) as (browser, owner, _, _):
        for start in range(0, 5000, 50):
            browser.speak(*there[start : start + 50])
            for frame in back[start : start + 50]:
                owner.socket.send_text(frame)
            owner.socket.flush()
            await asyncio.sleep(0)
        await until(lambda: len(owner.heard) == 5000 and len(browser.heard) == 5000, within=60)
        assert owner.heard == there
        assert browser.heard == back
        await until(lambda: owner.socket.write_buffer_size == 0)


async def test_frames_larger_than_the_window_cross(redis_server: RedisServer, prefix: str) -> None:
    large = [bytes([65 + n]) * (WINDOW + n * WINDOW // 2) for n in range(3)]
    async with bridged(redis_server, prefix) as (browser, owner, _, _):
        for frame in large:
            owner.socket.send_text(frame)
        browser.speak(*large)
        await until(lambda: len(browser.heard) == 3 and len(owner.heard) == 3, within=60)
        assert browser.heard == large
        assert owner.heard == large


async def test_full_window_goes_on_as_soon_as_there_is_room(
    redis_server: RedisServer, prefix: str
) -> None:
    frames = [b"%06d" % n + b"x" * 10_000 for n in range(1000)]
    never = BridgeTimings(beat=1000, silence=2000)  # no beat will push it on
    async with bridged(redis_server, prefix, timings=never) as (browser, owner, _, _):
        for frame in frames:
            owner.socket.send_text(frame)
        await until(lambda: len(browser.heard) == len(frames))
        assert browser.heard == frames
        browser.speak(*frames)
        await until(lambda: len(owner.heard) == len(frames))
        assert owner.heard == frames


async def test_browser_that_reads_slowly_is_seen_by_the_owner_and_bounds_redis(
    redis_server: RedisServer, prefix: str
) -> None:
    frames = [b"%06d" % n + b"x" * 10_000 for n in range(600)]
    async with bridged(redis_server, prefix, reads=False) as (browser, owner, a, _):
        for frame in frames:
            owner.socket.send_text(frame)
        total = sum(map(len, frames))
        assert owner.choked
        await until(lambda: browser.write_buffer_size > WINDOW * 0.8)
        for _ in range(20):
            await asyncio.sleep(0.02)  # give more the time to come
            assert browser.write_buffer_size <= WINDOW
            assert owner.socket.write_buffer_size >= total - 1
        key = f"{{{prefix}}}:stream:{a.attached[0].attachment}:down"
        used = int(redis_server.command("MEMORY", "USAGE", key)[1:])
        assert used < 2 * WINDOW
        browser.reads = True
        while len(browser.heard) < len(frames):
            browser.read()
            await asyncio.sleep(0.005)
        assert browser.heard == frames
        assert browser.most_waiting <= WINDOW
        await until(lambda: not owner.choked and owner.socket.write_buffer_size == 0)


async def test_owner_that_pauses_reading_stops_the_browser(
    redis_server: RedisServer, prefix: str
) -> None:
    frames = [b"%06d" % n + b"x" * 10_000 for n in range(600)]
    async with bridged(redis_server, prefix) as (browser, owner, _, _):
        owner.socket.pause_reading()
        for frame in frames:
            browser.speak(frame)
        await until(lambda: browser.paused)
        heard = len(owner.heard)
        assert browser.unsent > 400
        assert heard == 0
        owner.socket.resume_reading()
        await until(lambda: len(owner.heard) == len(frames))
        assert owner.heard == frames
        assert browser.unsent == 0


async def test_pausing_in_the_midst_of_a_batch_holds_the_rest(
    redis_server: RedisServer, prefix: str
) -> None:
    class Hesitant(Owner):
        def text_received(self, payload: bytes) -> None:
            super().text_received(payload)
            self.socket.pause_reading()

    async with bridged(redis_server, prefix) as (browser, owner, _, _):
        hesitant = Hesitant(owner.socket)
        browser.speak(b"1", b"2", b"3")
        for heard in ([b"1"], [b"1", b"2"], [b"1", b"2", b"3"]):
            await until(lambda heard=heard: hesitant.heard == heard)  # type: ignore[misc]
            hesitant.socket.resume_reading()


async def test_owners_close_comes_after_what_it_sent(
    redis_server: RedisServer, prefix: str
) -> None:
    async with bridged(redis_server, prefix) as (browser, owner, _, _):
        owner.socket.send_text(b"error frame")
        owner.socket.close(4440, "max_duration")
        owner.socket.send_text(b"after the close")
        await until(lambda: owner.closed)
        assert browser.heard == [b"error frame"]
        assert browser.closed_with == (4440, "max_duration")
        assert owner.closed == CloseEvent(4440, "max_duration", by_peer=False)


async def test_browsers_close_comes_after_what_it_said(
    redis_server: RedisServer, prefix: str
) -> None:
    async with bridged(redis_server, prefix) as (browser, owner, _, _):
        browser.speak(b"last words")
        browser.leave(1001, "tab closed")
        await until(lambda: owner.closed)
        assert owner.heard == [b"last words"]
        assert owner.closed == CloseEvent(1001, "tab closed", by_peer=True)


async def test_browser_that_breaks_the_protocol_is_warned_here_and_reported_there(
    redis_server: RedisServer, prefix: str
) -> None:
    async with bridged(redis_server, prefix) as (browser, owner, _, _):
        browser.fail(1009)
        await until(lambda: owner.closed)
        assert browser.heard == [b"failing: 1009"]
        assert owner.closed == CloseEvent(1009, by_peer=False)


async def test_owners_abort_drops_the_browser(redis_server: RedisServer, prefix: str) -> None:
    async with bridged(redis_server, prefix) as (browser, owner, _, _):
        owner.socket.abort()
        await until(lambda: owner.closed and browser.lost)
        assert browser.closed_with is None
        assert owner.closed is not None
        assert owner.closed.code == 1006


async def test_browser_that_never_reads_cannot_hold_up_an_abort(
    redis_server: RedisServer, prefix: str
) -> None:
    async with bridged(redis_server, prefix, reads=False) as (browser, owner, _, _):
        for _ in range(600):
            owner.socket.send_text(b"x" * 10_000)
        await until(lambda: browser.write_buffer_size > WINDOW * 0.8)
        owner.socket.abort()
        await until(lambda: browser.lost)


async def test_refusal_is_a_close(redis_server: RedisServer, prefix: str) -> None:
    async with bridged(redis_server, prefix) as (browser, owner, _, _):
        owner.socket.close(CANNOT_RESUME.code, CANNOT_RESUME.name)
        await until(lambda: browser.lost)
        assert browser.closed_with == (4410, "cannot_resume")


async def test_streams_are_deleted_at_the_end(redis_server: RedisServer, prefix: str) -> None:
    async with bridged(redis_server, prefix) as (browser, owner, a, _):
        attachment = a.attached[0].attachment
        streams = [f"{{{prefix}}}:stream:{attachment}:{way}" for way in ("up", "down")]
        await until(lambda: redis_server.command("EXISTS", *streams) == b":2\r\n")
        assert all(int(redis_server.command("PTTL", stream)[1:]) > 0 for stream in streams)
        browser.leave()
        await until(lambda: owner.closed)
        await until(lambda: redis_server.command("EXISTS", *streams) == b":0\r\n")


async def test_idle_bridge_stays_and_keeps_its_streams_short(
    redis_server: RedisServer, prefix: str
) -> None:
    async with bridged(redis_server, prefix, timings=ALERT) as (browser, owner, a, _):
        loop = asyncio.get_running_loop()
        began = loop.time()
        key = f"{{{prefix}}}:stream:{a.attached[0].attachment}:down"
        longest = 0
        while loop.time() - began < 3:
            await asyncio.sleep(0.1)
            longest = max(longest, int(redis_server.command("XLEN", key)[1:]))
        assert owner.closed is None
        assert not browser.lost
        assert longest <= 5
        browser.speak(b"still here")
        await until(lambda: owner.heard == [b"still here"])


async def test_dead_owner_is_a_lost_conversation(redis_server: RedisServer, prefix: str) -> None:
    async with bridged(redis_server, prefix) as (browser, _, a, _):
        await a.freeze()
        await until(lambda: browser.lost, within=30)
        assert browser.reason == CANNOT_RESUME


async def test_killed_owner_is_a_lost_conversation(redis_server: RedisServer, prefix: str) -> None:
    """The owner is a process of its own, and dies by SIGKILL."""
    b = Replica(redis_server.url, "b", prefix)
    await b.start()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.cluster.replica", redis_server.url, prefix),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            assert await process.stdout.readline() == b"alive\n"
        browser = Browser()
        async with serving(b, browser):
            browser.speak(b"echo this")
            await until(lambda: browser.heard == [b"echo this"])
            process.kill()
            await until(lambda: browser.lost, within=30)
        assert browser.reason == CANNOT_RESUME
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await b.stop()


async def test_owner_that_died_before_is_told_within_two_seconds(
    redis_server: RedisServer, prefix: str
) -> None:
    slow = BridgeTimings(silence=60.0)  # it is the mark of life that tells, not silence
    async with replicas(redis_server, prefix, slow) as (a, b):
        await a.freeze()
        browser = Browser()
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with serving(b, browser) as served:
            await served
        # The mark of life lasts 1.5 s, and is looked at every 0.25 s: 2 s, but for a busy machine.
        assert loop.time() - began < 20
        assert browser.reason == CANNOT_RESUME


async def test_unknown_owner_is_a_lost_conversation(redis_server: RedisServer, prefix: str) -> None:
    async with replicas(redis_server, prefix) as (_, b):
        browser = Browser()
        async with asyncio.timeout(20):
            await b.bridges.serve(browser, row(replica="nobody"), {})
        assert browser.reason == CANNOT_RESUME


async def test_dead_browser_replica_is_a_lost_socket(
    redis_server: RedisServer, prefix: str
) -> None:
    async with bridged(redis_server, prefix, timings=ALERT) as (_, owner, _, b):
        await b.freeze()
        await until(lambda: owner.closed, within=30)
        assert owner.closed is not None
        assert owner.closed.code == 1006


async def test_bridge_whose_owner_lives_but_is_silent_is_to_be_resumed(
    redis_server: RedisServer, prefix: str
) -> None:
    async with bridged(redis_server, prefix) as (browser, owner, a, _):
        key = f"{{{prefix}}}:stream:{a.attached[0].attachment}:down"
        # As if entries had been lost: what comes next has a gap before it.
        redis_server.command("XADD", key, "1000000-0", "a", "0")
        await until(lambda: browser.lost, within=30)
        assert browser.reason == BROKEN
        await until(lambda: owner.closed, within=30)


async def test_released_browser_resumes_elsewhere(redis_server: RedisServer, prefix: str) -> None:
    async with bridged(redis_server, prefix) as (browser, owner, _, b):
        b.bridges.release()
        await until(lambda: browser.lost and owner.closed)
        assert browser.reason == BROKEN


async def test_cancelled_serve_tells_the_owner(redis_server: RedisServer, prefix: str) -> None:
    async with replicas(redis_server, prefix) as (a, b):
        browser = Browser()
        task = asyncio.create_task(b.bridges.serve(browser, row(), {}))
        await until(lambda: a.owners)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await until(lambda: a.owners[0].closed, within=30)


async def test_short_freeze_of_redis_costs_nothing(mortal_redis: RedisServer, prefix: str) -> None:
    there = [b"t%d" % n for n in range(400)]
    back = [b"b%d" % n for n in range(400)]
    async with bridged(mortal_redis, prefix) as (browser, owner, _, _):
        for start in range(0, 400, 40):
            if start == 120:
                mortal_redis.pause()
            if start == 280:
                await asyncio.sleep(1.5)  # longer than a call may take, shorter than a silence
                mortal_redis.resume()
            browser.speak(*there[start : start + 40])
            for frame in back[start : start + 40]:
                owner.socket.send_text(frame)
            await asyncio.sleep(0.05)
        await until(lambda: len(owner.heard) >= 400 and len(browser.heard) >= 400)
        assert owner.heard == there
        assert browser.heard == back


@pytest.mark.parametrize("harm", ["kill", "restart", "freeze"])
async def test_redis_lost_ends_both_sides_or_costs_nothing_but_leaves_no_gap(
    mortal_redis: RedisServer, prefix: str, harm: str
) -> None:
    sent = [b"%d" % n for n in range(2000)]
    async with bridged(mortal_redis, prefix, timings=ALERT) as (browser, owner, _, _):
        for number, frame in enumerate(sent):
            owner.socket.send_text(frame)
            browser.speak(frame)
            if number % 20 == 0:
                await asyncio.sleep(0.001)
            if number == 1000:
                if harm == "freeze":
                    mortal_redis.pause()
                else:
                    await asyncio.to_thread(mortal_redis.kill)
                if harm == "restart":
                    await asyncio.to_thread(mortal_redis.start)

        def has_ended() -> bool:
            return browser.lost and owner.closed is not None

        def has_survived() -> bool:  # all that was under way had been read
            return harm == "restart" and len(browser.heard) == len(owner.heard) == len(sent)

        await until(lambda: has_ended() or has_survived(), within=60)
        assert browser.reason in ({BROKEN, CANNOT_RESUME} if browser.lost else {None})
        assert browser.heard == sent[: len(browser.heard)]
        assert owner.heard == sent[: len(owner.heard)]
        if harm == "freeze":
            mortal_redis.resume()


async def test_hundred_bridges_keep_apart(redis_server: RedisServer, prefix: str) -> None:
    patient = BridgeTimings(silence=60)
    async with replicas(redis_server, prefix, patient, PATIENT) as (a, b):
        browsers = [Browser() for _ in range(100)]
        async with asyncio.TaskGroup() as tasks:
            for number, browser in enumerate(browsers):
                tasks.create_task(b.bridges.serve(browser, row(f"s{number}"), {"n": number}))
            await until(lambda: len(a.owners) == 100, within=60)
            order = [attach.hello["n"] for attach in a.attached]
            for turn in range(20):
                for place, owner in enumerate(a.owners):
                    owner.socket.send_text(b"%d:%d" % (order[place], turn))
                for number, browser in enumerate(browsers):
                    browser.speak(b"%d:%d" % (number, turn))
                await asyncio.sleep(0.001)
            await until(lambda: all(len(browser.heard) == 20 for browser in browsers), within=60)
            await until(lambda: all(len(owner.heard) == 20 for owner in a.owners), within=60)
            for number, browser in enumerate(browsers):
                assert browser.heard == [b"%d:%d" % (number, turn) for turn in range(20)]
                browser.leave()
            for place, owner in enumerate(a.owners):
                assert owner.heard == [b"%d:%d" % (order[place], turn) for turn in range(20)]


async def test_bridge_without_a_running_switchboard_is_refused(
    redis_server: RedisServer, prefix: str
) -> None:
    replica = Replica(redis_server.url, "a", prefix)
    browser = Browser()
    with pytest.raises(StoreUnavailable):
        await replica.bridges.serve(browser, row(), {})
    assert not browser.lost
    await replica.stop()


async def test_lost_store_is_said_before_the_socket_is_touched(
    mortal_redis: RedisServer, prefix: str
) -> None:
    async with replicas(mortal_redis, prefix) as (_, b):
        await asyncio.to_thread(mortal_redis.kill)
        browser = Browser()
        with pytest.raises(StoreUnavailable):
            await b.bridges.serve(browser, row(), {})
        assert browser.closed_with is None
