"""Sockets cut at random bytes, in both directions: every stream is exact, or ends with 4410."""

from __future__ import annotations

import random
import secrets
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.replicas.pair import Script, crowd, numbered, replica_pair
from tests.support.cutting import cutting_proxy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONVERSATIONS = 16
TOOLS = ("check_order_status", "show_order")


async def exact_through(
    directory: Path,
    cuts: int,
    seed: int,
    *,
    until: float | None = None,
    size: int = CONVERSATIONS,
    reach: tuple[int, int] = (4_000, 8_000),
    stopped: Callable[[], bool] = lambda: False,
) -> dict[str, float]:
    """Cut so often, or until a time; then let what runs end in peace, and look at every stream.

    `size` conversations run at once, `reach` is how many bytes a socket may pass up and down at
    most. Return what was made, by name.
    """
    print(f"seed {seed}")
    begun = time.monotonic()
    up, down = reach
    async with (
        replica_pair(directory, tool_timeout=80) as it,
        cutting_proxy(it.ports, seed, up=up, down=down) as proxy,
    ):
        script = [Script(tool=tool) for tool in TOOLS]

        def begin(number: int) -> object:
            dice = random.Random(f"{seed}.{number}")  # noqa: S311 - a test\'s dice
            url = f"ws://127.0.0.1:{proxy.port}"
            return numbered(it, f"c{number}", script[number % 2], lambda: url, dice)

        def over() -> bool:
            return stopped() or (until is not None and time.monotonic() > until)

        def goes_on(_: int) -> bool:
            proxy.cutting = proxy.cuts < cuts and not over()
            return proxy.cutting

        stories = await crowd(size, begin, goes_on)  # type: ignore[arg-type]
        wrong = [fault for story in stories for fault in story.wrong(script[0].count)]
        codes = Counter(story.code for story in stories)
        resumes = sum(story.resumes for story in stories)
        print(
            f"{proxy.cuts} cuts of {proxy.connections} connections in "
            f"{time.monotonic() - begun:.0f} s: {len(stories)} conversations ended {dict(codes)}, "
            f"{resumes} resumes, {sum(len(s.heard) + len(s.echoed) for s in stories)} numbered "
            f"texts seen, {len(wrong)} gaps, doubles and other faults"
        )
        assert wrong == [], f"seed {seed}: " + "\n".join(wrong[:20])
        assert await it.violations() == []
        assert proxy.cuts >= cuts or over()
        assert resumes >= proxy.cuts / 4
        assert codes[1000] >= 0.9 * len(stories), "an explicit 4410 is honest, and no way of life"
        return {
            "cuts": proxy.cuts,
            "connections": proxy.connections,
            "resumes": resumes,
            "conversations": len(stories),
            "ended with 4410": codes[4410],
            "numbered texts": sum(len(s.heard) + len(s.echoed) for s in stories),
        }


async def test_random_cuts_lose_and_double_nothing(tmp_path: Path) -> None:
    await exact_through(tmp_path, 300, secrets.randbits(32))


@pytest.mark.nightly
@pytest.mark.timeout(6 * 3600)  # some 10 to 20 cuts a second on two cores
async def test_many_random_cuts_lose_and_double_nothing(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """`--cuts` says how many, `--cutting-minutes` for how long at most, `--seed` which."""
    asked = request.config.getoption
    seed, minutes = asked("seed"), asked("cutting_minutes")
    until = None if minutes is None else time.monotonic() + 60 * minutes
    seed = secrets.randbits(32) if seed is None else seed
    await exact_through(tmp_path, asked("cuts"), seed, until=until)
