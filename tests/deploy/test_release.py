"""The arithmetic of a release, held against a Deployment's rolling update second by second."""

from __future__ import annotations

import sys

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from deploy import release
from deploy.release import Release, Rollout, clock, pods_of
from tests.deploy.tooling import CHART, DEPLOY, passes, run


def simulate(rollout: Rollout) -> Release:
    """A Deployment's controller, a second at a time, by the documented rules of a rolling update.

    Pods that terminate count neither towards maxSurge nor as available.
    """
    new: list[float] = []
    old, ending = rollout.pods, []
    starts: set[float] = set()
    replaced, peak, now = 0.0, rollout.pods, 0.0
    while True:
        available = sum(at + rollout.start + rollout.min_ready <= now for at in new)
        # Both rules until neither changes anything.
        while True:
            create = min(rollout.pods + rollout.surge - old - len(new), rollout.pods - len(new))
            stop = min(old, old + available - (rollout.pods - rollout.unavailable))
            if create > 0:
                new += [now] * create
                starts.add(now)
            if stop > 0:
                old -= stop
                ending += [now + rollout.drain] * stop
                replaced = now
            if create <= 0 and stop <= 0:
                break
        peak = max(peak, old + len(new) + sum(at > now for at in ending))
        if old == 0 and available == rollout.pods:
            return Release(
                waves=len(starts),
                replaced=replaced,
                ended=replaced + rollout.drain,
                at_most=max(now, replaced + rollout.grace),
                peak=peak,
            )
        now += 1


@given(
    pods=st.integers(1, 40),
    surge=st.integers(0, 45),
    unavailable=st.integers(0, 39),
    start=st.integers(1, 9),
    min_ready=st.integers(0, 4),
    timeout=st.integers(0, 90),
    longest=st.integers(0, 120),
)
def test_waves_are_those_of_the_rolling_update(
    pods: int, surge: int, unavailable: int, start: int, min_ready: int, timeout: int, longest: int
) -> None:
    if surge + unavailable == 0:
        surge = 1
    rollout = Rollout(
        pods=pods,
        surge=surge,
        unavailable=unavailable,
        start=start,
        min_ready=min_ready,
        timeout=timeout,
        longest=longest,
    )
    assert release.release(rollout) == simulate(rollout)


def test_nothing_can_be_replaced_without_surge_and_without_unavailable_pods() -> None:
    with pytest.raises(ValueError, match="nothing can be replaced"):
        release.release(Rollout(pods=3, surge=0))


@pytest.mark.parametrize(
    ("share", "up", "pods"), [("25%", True, 3), ("25%", False, 2), ("4", True, 4), ("0%", True, 0)]
)
def test_shares_are_rounded_as_kubernetes_rounds_them(share: str, up: bool, pods: int) -> None:
    assert pods_of(share, 10, up=up) == pods


@pytest.mark.parametrize("share", ["", "%", "-1", "a quarter", "2.5%"])
def test_share_that_is_none_is_refused_with_a_sentence(share: str) -> None:
    with pytest.raises(ValueError, match="neither a number of pods nor a share"):
        pods_of(share, 10, up=True)


@pytest.mark.parametrize(("seconds", "text"), [(0, "0 s"), (3725, "1 h 2 min 5 s"), (60, "1 min")])
def test_times_are_written_for_people(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_defaults_are_those_of_the_chart() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert values["rollout"] == {
        "maxSurge": release.SURGE,
        "maxUnavailable": 0,
        "minReadySeconds": release.MIN_READY,
    }
    assert values["drain"] == {
        "delaySeconds": release.DELAY,
        "timeoutSeconds": release.TIMEOUT,
        "marginSeconds": release.MARGIN,
    }


def test_script_says_that_conversations_are_cut_and_what_to_raise() -> None:
    script = DEPLOY / "release.py"
    said = passes(sys.executable, script, "--pods", "200", "--longest", "60")
    assert "55 min short" in said
    assert "RELAY_DRAIN_TIMEOUT" in said
    done = run(sys.executable, script, "--pods", "3", "--surge", "0")
    assert (done.returncode, "nothing can be replaced" in done.stderr) == (2, True)
