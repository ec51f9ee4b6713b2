"""The gateway's clock of the day jumps by an hour, forth and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support import gateway as processes
from tests.support.browser import browser
from tests.support.clock import MovedClock
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

HOUR = 3600


async def test_a_clock_that_jumps_ends_no_live_session(tmp_path: Path) -> None:
    clock = MovedClock(tmp_path)
    async with processes.emulator() as vendor:
        gateway = processes.Gateway(vendor.url, auth="open")
        gateway.environment |= clock.environment
        await gateway.start()
        try:
            await gateway.ready()
            async with browser(f"{gateway.ws}/ws/echo?call_type=chat", native=True) as page:
                await page.connected()
                await page.talks()
                for seconds in (HOUR, -HOUR, 0):
                    clock.move(seconds)
                    await page.talks(f"moved by {seconds}")
                    async with browser(f"{gateway.ws}/ws/echo?call_type=chat") as other:
                        await other.connected()
                        await other.talks("a new one")
                        assert await other.terminate() == 1000
                assert await page.terminate() == 1000
            # That it moved at all: what is logged has the time of the process.
            hours = {line["timestamp"][:13] for line in gateway.lines()}
            assert len(hours) >= 3
            await until(lambda: len(gateway.lines("session_ended")) == 4)
        finally:
            await gateway.stop()
