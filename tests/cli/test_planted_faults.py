"""Each fault that is planted in an agent turns the shipped scenario red, and its turn is named."""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
import yaml

from app.cli.scenarios.report import Played, described
from app.cli.terminal import Style
from tests.cli.flaws import FLAWS, flawed_support
from tests.cli.stage import SHIPPED, Stage, stage, written

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.asyncio(loop_scope="module")

TURN_2 = "turn 2, after 'Where is my parcel?'"
TURN_3 = "turn 3, after 'It is A-1001.'"
THE_END = "the end, after turn 3"
# By fault: how the first difference begins, what was expected, and what was received.
PLANTED: dict[str, tuple[str, str, str]] = {
    "wrong_greeting": ("turn 1", "contains", "colour of your order"),
    "ends_early": (TURN_2, "", "it was closed with 1000"),
    "repeats": (TURN_2, "1001.", "1001. I need the order number"),
    "shouts": ("turn 1", "contains", "WHAT IS THE NUMBER"),
    "null_args": (TURN_3, "status shipped", "could not be looked up"),
    "wrong_text": (TURN_2, "1001.", "the order number, quick."),
    "goes_on": (TURN_2, "1001.", "Hurry up!"),
    "late": (TURN_2, "1001.", "nothing was said within 2 s"),
    "silent": (TURN_2, "1001.", "nothing was said within 2 s"),
    "forbidden_text": (TURN_3, "without", "I could not, I am looking"),
    "missing_tool": (TURN_3, "a call of check_order_status", "a call of show_order"),
    "missing_page_tool": (TURN_3, "a call of show_order", "a call of check_order_status"),
    "other_tool": (TURN_3, "status shipped", "could not be looked up"),
    "wrong_args": (TURN_3, "looking up order A-1001, status", ""),
    "args_as_list": (TURN_3, "", ""),
    "never_ends": (THE_END, "the end by the agent", "the conversation goes on"),
    "bad_status": (THE_END, 'the status "Completed"', 'the status "Failed"'),
}
# The emulator's own faults, and after how many pieces of text they strike.
EMULATED: dict[str, tuple[int, str]] = {
    "drop": (4, TURN_2),
    "rst": (6, TURN_3),
    "close": (4, TURN_2),
    "stall": (5, TURN_3),
    "failed_open": (0, "turn 1"),
}
PLANTED["wrong_args"] = (TURN_3, "status shipped", "No such order")
PLANTED["args_as_list"] = (TURN_3, "status shipped", "could not be looked up")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def runs(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, Played]]:
    """Every faulty agent's run of the shipped scenario, side by side."""
    folder = tmp_path_factory.mktemp("scenarios")
    async with stage({"support": flawed_support}) as gateway:
        jobs = {flaw: _run(gateway, folder, flaw, {"flaw": flaw}) for flaw in PLANTED}
        jobs |= {
            fault: _run(gateway, folder, fault, {"fault": fault, "faultAfter": after})
            for fault, (after, _) in EMULATED.items()
        }
        jobs["sound"] = _run(gateway, folder, "sound", {})
        found = await asyncio.gather(*jobs.values())
        yield dict(zip(jobs, found, strict=True))


async def _run(gateway: Stage, folder: Path, name: str, data: dict[str, Any]) -> Played:
    """Play the shipped scenario against an agent with a fault; only its patience is shortened."""
    shipped = yaml.safe_load((SHIPPED / "order.yaml").read_text(encoding="utf-8"))
    text = yaml.safe_dump(
        shipped | {"additional_data": data, "within": 2} if data else shipped, sort_keys=False
    )
    loaded = written(folder / f"{name}.yaml", text)
    return Played(loaded, (await gateway.play(loaded),), 1.0)


def report(played: Played) -> str:
    return described(played, Style(io.StringIO()))


async def test_a_sound_agent_passes(runs: dict[str, Played]) -> None:
    assert runs["sound"].held, report(runs["sound"])


async def test_every_flaw_is_tried() -> None:
    assert PLANTED.keys() == FLAWS.keys() | {"ends_early"}


@pytest.mark.parametrize("flaw", PLANTED)
async def test_a_planted_fault_fails_and_names_its_turn(flaw: str, runs: dict[str, Played]) -> None:
    where, expected, received = PLANTED[flaw]
    told = report(runs[flaw])
    assert not runs[flaw].held
    assert told.startswith("FAIL  a customer asks for an order")
    lines = [line.strip() for line in told.splitlines()[1:]]
    assert lines[0].startswith(where), told
    assert any(line.startswith("expected") and expected in line for line in lines), told
    assert any(line.startswith("received") and received in line for line in lines), told


@pytest.mark.parametrize("fault", EMULATED)
async def test_a_fault_of_the_upstream_socket_fails_and_names_its_turn(
    fault: str, runs: dict[str, Played]
) -> None:
    told = report(runs[fault])
    assert not runs[fault].held
    assert told.splitlines()[1].strip().startswith(EMULATED[fault][1]), told


async def test_a_difference_names_file_and_line(runs: dict[str, Played]) -> None:
    played = runs["late"]
    path = played.loaded.path
    say = next(
        number
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if line == "- say: Where is my parcel?"
    )
    assert f"({path}:{say})" in report(played)
