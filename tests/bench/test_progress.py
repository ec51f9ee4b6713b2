"""What a run tells of itself while it lasts."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from tests.bench.__main__ import QUICK
from tests.bench.extras import USUAL
from tests.bench.peers import all_peers, with_extra
from tests.bench.progress import Progress, steps
from tests.bench.stages import Plan


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


EXPECTED = {"start": (2, 10.0), "round": (4, 60.0)}


def test_a_log_gets_a_line_for_each_step() -> None:
    log, clock = io.StringIO(), Clock()
    progress = Progress(EXPECTED, log, clock)
    assert progress.seconds == 260
    for _ in range(2):
        with progress.step("start", "start: nginx"):
            clock.now += 20
    progress.say("haproxy is out")
    with progress.step("round", "round 1: nginx"):
        clock.now += 30
    progress.close()
    assert log.getvalue().splitlines() == [
        "1/6 start: nginx, about 4 min left",
        "2/6 start: nginx, about 4 min left",
        "haproxy is out",
        "3/6 round 1: nginx, about 4 min left",
    ]
    assert progress.seconds == 3 * 30  # what rounds took, not what they were expected to take


def test_a_terminal_gets_one_line_that_grows() -> None:
    terminal, clock = Terminal(), Clock()
    progress = Progress(EXPECTED, terminal, clock)
    with progress.step("start", "start: nginx"):
        clock.now += 10
    progress.skip("start")
    with progress.step("round", "round 1: nginx"):
        clock.now += 1
    progress.close()
    shown = terminal.getvalue().split("\r\x1b[K")
    assert "\n" not in terminal.getvalue()
    assert shown[1] == f"[{'.' * 24}] 1/6 start: nginx, about 4 min left"
    assert shown[2] == f"[{'#' * 8}{'.' * 16}] 3/6 round 1: nginx, about 4 min left"
    assert shown[-1] == ""


def test_steps_that_fail_or_are_left_out_are_not_expected_again() -> None:
    progress = Progress(EXPECTED, io.StringIO(), Clock())
    with pytest.raises(OSError, match="it is out"), progress.step("start", "start: nginx"):
        raise OSError("it is out")
    progress.skip("start")
    progress.skip("round", 4)
    assert progress.seconds == 0


def test_a_run_is_expected_to_end_within_its_limit() -> None:
    extras = [replace(with_extra(name), growths=0) for name in USUAL]
    whole = Progress(steps(Plan(), [*all_peers(), *extras]), io.StringIO()).seconds
    assert 400 < whole < Plan().limit
    quick = [peer for peer in all_peers() if peer.name in QUICK]
    assert len(quick) == len(QUICK)
    assert Progress(steps(Plan.quick(), quick), io.StringIO()).seconds < 90
