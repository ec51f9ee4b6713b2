"""The planner's arithmetic, and that what it reads is what the measuring writes."""

from __future__ import annotations

import json
import sys
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest

from deploy.capacity import KINDS, Load, Replica, cpu_per_session, plan, steps, svg
from tests.deploy.tooling import DEPLOY, passes, run

if TYPE_CHECKING:
    from pathlib import Path

SLOPES = {
    "base_bytes": 100e6,
    "bytes_per_session": 50e3,
    "descriptors_per_session": 2.0,
    "base_descriptors": 40,
    "cpu_seconds_per_session_set_up": 0.0012,
    "cpu_seconds_per_idle_session_second": 1e-5,
    "cpu_seconds_per_frame": 1e-5,
    "redis_commands_per_session": 12.0,
    "redis_commands_per_replica_second": 2.0,
    "redis_commands_per_idle_session_second": 0.5,
}
ROOMY = Replica(memory=1e12, files=10**9, max_sessions=10**9, fill=0.5)


def test_cpu_of_a_session_is_rest_frames_and_set_up() -> None:
    assert cpu_per_session(SLOPES, Load(frames=3, minutes=2)) == pytest.approx(
        1e-5 + 3e-5 + 0.0012 / 120
    )


def test_one_replica_more_than_needed_is_planned() -> None:
    found = plan(30_000, SLOPES, Load(3, 2), ROOMY)
    assert found.each == 10_000
    assert found.replicas == 4
    assert found.first == "CPU (one core)"


@pytest.mark.parametrize(
    ("replica", "first", "each"),
    [
        (Replica(400e6, 10**9, 10**9, 0.5), "memory", 2_000),
        (Replica(1e12, 2_080, 10**9, 0.5), "descriptors", 500),
        (Replica(1e12, 10**9, 5_000, 0.5), "RELAY_MAX_SESSIONS", 2_500),
    ],
)
def test_what_is_full_first_decides(replica: Replica, first: str, each: int) -> None:
    found = plan(1, SLOPES, Load(0, 10), replica)
    assert (found.first, found.each, found.replicas) == (first, each, 2)


def test_store_is_asked_by_comings_replicas_and_stayings() -> None:
    found = plan(30_000, SLOPES, Load(3, 2), ROOMY)
    assert found.redis_commands == pytest.approx(12 * 30_000 / 120 + 2 * 4 + 0.5 * 30_000)


def test_replica_that_holds_nothing_is_no_plan() -> None:
    with pytest.raises(ValueError, match="memory"):
        plan(10, SLOPES, Load(1, 1), Replica(1e6, 10**9, 10**9, 0.5))


def test_more_sessions_never_need_fewer_replicas() -> None:
    plans = [plan(count, SLOPES, Load(1, 5), ROOMY).replicas for count in steps(1_000_000)]
    assert plans == sorted(plans)
    assert steps(1_000_000)[-1] == 1_000_000


def test_script_answers_with_a_table_a_plot_and_a_picture(tmp_path: Path) -> None:
    slopes = tmp_path / "slopes.json"
    slopes.write_text(json.dumps(SLOPES))
    said = passes(
        sys.executable, DEPLOY / "capacity.py", "--sessions", "20000", "--kind", "voice",
        "--slopes", slopes, "--svg", tmp_path / "plan.svg",
    )  # fmt: skip
    assert "20,000 sessions need" in said
    assert "<- full first" in said
    assert "|#" in said
    root = ET.fromstring((tmp_path / "plan.svg").read_text())  # noqa: S314 - written just now
    assert len(root.findall("{http://www.w3.org/2000/svg}circle")) == len(steps(20_000))
    drawn = svg([plan(count, SLOPES, Load(*KINDS["chat"]), ROOMY) for count in (5,)])
    assert len(ET.fromstring(drawn)) > 0  # noqa: S314


def test_without_a_measurement_it_says_what_to_run(tmp_path: Path) -> None:
    done = run(
        sys.executable, DEPLOY / "capacity.py", "--sessions", "10", "--slopes", tmp_path / "no"
    )
    assert done.returncode == 2
    assert "measure.py" in done.stderr


def test_measured_slopes_in_the_repository_answer_the_question() -> None:
    slopes = json.loads((DEPLOY / "capacity.json").read_text())
    assert set(SLOPES) <= set(slopes)
    assert slopes["machine"]["cpu"]
    passes(sys.executable, DEPLOY / "capacity.py", "--sessions", "1000000")


def test_figures_in_the_document_are_those_that_were_measured() -> None:
    text = (DEPLOY / "CAPACITY.md").read_text()
    slopes = json.loads((DEPLOY / "capacity.json").read_text())
    for name in SLOPES:
        value = slopes[name]
        shown = {f"{value:,}", f"{value:,.0f}", f"{value:.8f}".rstrip("0")}
        assert any(f"{word} " in text for word in shown), f"{name}: {value}"
    replica = Replica(memory=0.75 * (1 << 30), files=65_536, max_sessions=5_000, fill=0.6)
    for count in plan(1_000_000, slopes, Load(*KINDS["voice"]), replica).limits.values():
        assert f"{count:,}" in text


@pytest.mark.nightly
@pytest.mark.timeout(600)
def test_measuring_finds_every_slope(tmp_path: Path) -> None:
    output = tmp_path / "capacity.json"
    passes(
        sys.executable, DEPLOY / "measure.py", "--output", output, "--sessions", "40",
        "--messages", "640", "--idle", "2", timeout=500,
    )  # fmt: skip
    found = json.loads(output.read_text())
    wanted = {name for name in SLOPES if not name.startswith("redis")}
    assert wanted <= set(found)
    assert 1.9 <= found["descriptors_per_session"] <= 2.5
    assert found["bytes_per_session"] > 0
    assert found["cpu_seconds_per_frame"] > 0
