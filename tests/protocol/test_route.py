"""Routes: sticky by subject, in proportion, and with the fewest moves when weights change."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.protocol.route import Route, agent_for
from tests.support.gateway import ROOT

pytestmark = pytest.mark.source  # app/protocol/route.py is never compiled
SUBJECTS = [f"user-{number}" for number in range(5_000)]
MANY = [f"someone-{number}" for number in range(100_000)]
WEIGHTS = st.dictionaries(
    st.sampled_from(("blue", "green", "canary")),
    st.floats(0.5, 100, allow_nan=False),
    min_size=2,
)


def routes(**weights: float) -> list[Route]:
    return [Route(agent, weight) for agent, weight in weights.items()]


def spread(found: list[Route]) -> dict[str, str]:
    return {subject: agent_for(found, subject) for subject in SUBJECTS}


def test_subjects_are_spread_by_weight() -> None:
    counted = Counter(spread(routes(a=70, b=25, c=5, d=0)).values())
    assert counted.keys() == {"a", "b", "c"}
    for agent, share in {"a": 0.70, "b": 0.25, "c": 0.05}.items():
        assert counted[agent] / len(SUBJECTS) == pytest.approx(share, abs=0.02)


def test_a_weight_that_grows_moves_subjects_to_its_agent_alone() -> None:
    before, after = spread(routes(a=90, b=10)), spread(routes(a=90, b=30))
    moved = {subject: after[subject] for subject in SUBJECTS if after[subject] != before[subject]}
    assert set(moved.values()) == {"b"}
    assert len(moved) / len(SUBJECTS) == pytest.approx(30 / 120 - 10 / 100, abs=0.02)


@pytest.mark.exhaustive
@settings(max_examples=2, deadline=None)
@given(WEIGHTS, st.floats(0, 100, allow_nan=False))
def test_shares_of_many_subjects_are_their_weights_and_a_change_moves_no_more_than_it_must(
    weights: dict[str, float], other: float
) -> None:
    """Within 1 % of all subjects, which is six standard deviations."""
    changed = {**weights, "blue": other}

    def shares(of: dict[str, float]) -> dict[str, float]:
        return {agent: weight / sum(of.values()) for agent, weight in of.items()}

    chosen = []
    for found in (weights, changed):
        chosen.append([agent_for(routes(**found), subject) for subject in MANY])
        counted = Counter(chosen[-1])
        for agent, share in shares(found).items():
            assert counted[agent] / len(MANY) == pytest.approx(share, abs=0.01)
    moved = [pair for pair in zip(*chosen, strict=True) if pair[0] != pair[1]]
    least = abs(shares(changed)["blue"] - shares(weights).get("blue", 0.0))
    assert len(moved) / len(MANY) == pytest.approx(least, abs=0.01)
    grows = shares(changed)["blue"] > shares(weights).get("blue", 0.0)
    assert all(pair[grows] == "blue" for pair in moved), "to or from that agent alone"


def test_an_agent_that_leaves_moves_its_own_subjects_alone() -> None:
    before, after = spread(routes(a=1, b=1, c=1)), spread(routes(a=1, c=1))
    moved = [subject for subject in SUBJECTS if after[subject] != before[subject]]
    assert {before[subject] for subject in moved} == {"b"}
    assert {after[subject] for subject in moved} == {"a", "c"}


@settings(max_examples=40)
@given(st.permutations(routes(a=3, b=2, c=1)), st.text(max_size=40))
def test_neither_order_nor_scale_matters(order: list[Route], subject: str) -> None:
    scaled = [Route(route.agent, route.weight * 1000) for route in order]
    usual = agent_for(routes(a=3, b=2, c=1), subject)
    assert agent_for(order, subject) == agent_for(scaled, subject) == usual


def test_every_process_finds_the_same_agent() -> None:
    """Replicas and restarts have other hash seeds."""
    script = (
        "from app.protocol.route import Route, agent_for;"
        "print([agent_for([Route('a', 1), Route('b', 1)], f'user-{n}') for n in range(50)])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env={"PYTHONHASHSEED": "7"}, cwd=ROOT,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    here = [agent_for(routes(a=1, b=1), f"user-{number}") for number in range(50)]
    assert done.stdout.strip() == str(here)
