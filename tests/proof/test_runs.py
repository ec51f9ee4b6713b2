"""Runs are shared among processes, interrupted, and added up, without a false figure."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.proof import adding
from tests.proof.__main__ import main, run, stopped_by_signals
from tests.proof.adding import added, earlier
from tests.proof.parallel import spread
from tests.proof.report import Bound, Proof, Result, commit, report

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.source]
SEED = 7
COMMIT = "0123456789" * 4


def counting(bound: Bound, result: Result) -> None:
    result.add("made", bound.count)
    result.add(f"by seed {bound.seed}")
    result.peak("most", bound.count)
    result.notes.append("a note")


def proof_of(work: Any, **options: Any) -> Proof:
    return Proof("secrets", "it holds", 10, 60.0, "texts", work, **options)


def test_processes_share_the_count_each_by_a_seed_of_its_own() -> None:
    result = Result()
    spread(counting, Bound(SEED, 7, 60.0), result, processes=3)
    assert (result.lost, result.done["made"], result.done["most"]) == (0, 7, 3)
    assert result.done[f"by seed {SEED}"] == 1
    assert sum(name.startswith("by seed") for name in result.done) == 3
    assert result.notes == ["a note"]


def test_a_process_that_dies_is_a_loss() -> None:
    def die(bound: Bound, result: Result) -> None:
        if bound.seed == SEED:
            os.kill(os.getpid(), signal.SIGKILL)
        counting(bound, result)

    result = Result()
    spread(die, Bound(SEED, 2, 60.0), result, processes=2)
    assert result.done["made"] == 1
    assert result.found == [f"a process ended with {-signal.SIGKILL}, without a result"]


def test_what_a_process_loses_is_lost() -> None:
    result = Result()
    spread(lambda bound, result: result.lose(str(bound.count)), Bound(SEED, 2, 60.0), result, 2)
    assert (result.lost, result.found) == (2, ["1", "1"])


def test_a_part_is_over_with_the_whole() -> None:
    whole = Bound(SEED, 10, 60.0)
    part = whole.part(5, 1000.0)
    assert part.seconds <= 60.0
    assert not part.over()
    whole.stop()
    assert (part.over(), part.left, whole.part(1, 1.0).over()) == (True, 0.0, True)


def test_a_signal_ends_a_run_whose_report_says_what_was_reached(tmp_path: Path) -> None:
    def interrupted(bound: Bound) -> Result:
        result = Result(least=("made",))

        def until_stopped(bound: Bound, result: Result) -> None:
            os.kill(os.getppid(), signal.SIGTERM)
            while not bound.over():
                time.sleep(0.01)
            counting(bound, result)

        spread(until_stopped, bound, result, processes=1)
        return result

    bound = Bound(SEED, 10, 60.0)
    assert run(proof_of(interrupted), bound, tmp_path)
    told = json.loads((tmp_path / "secrets.json").read_text())
    assert (told["interrupted"], told["verdict"], told["done"]["made"]) == (True, "held", 10)
    assert told["seconds"] < 60


def test_a_second_signal_does_what_it_usually_does() -> None:
    bound = Bound(SEED, 10, 60.0)
    with stopped_by_signals(bound):
        signal.raise_signal(signal.SIGINT)
        assert bound.over()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def made(seed: int, **done: float) -> dict[str, Any]:
    bound = Bound(seed, 10, 60.0)
    it = Result({"made": 3.0, **done}, greatest={"most"})
    return report(proof_of(counting), bound, it, 2.0, 1.0) | {"commit": COMMIT}


def test_runs_of_one_commit_are_added_up() -> None:
    one, other = made(1, most=9.0), made(2, most=4.0) | {"verdict": "lost", "lost": 1}
    both = added(one, other)
    assert both["seeds"] == [1, 2]
    assert both["done"] == {"made": 6.0, "most": 9.0}
    assert (both["verdict"], both["lost"]) == ("lost", 1)
    assert (both["seconds"], both["cpu_seconds"]) == (4.0, 2.0)
    assert added(other, one)["verdict"] == "lost"


@pytest.mark.parametrize(
    ("before", "seed", "words"),
    [
        ({"commit": "f" * 40}, 3, "another commit"),
        ({"commit": COMMIT + "+"}, 3, "another commit"),
        ({"seeds": [3]}, 3, "seed 3"),
        ({"machine": {"processors": 99, "python": "", "system": "", "build": ""}}, 3, "machine"),
    ],
)
def test_other_runs_are_not_added_up(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    before: dict[str, Any],
    seed: int,
    words: str,
) -> None:
    monkeypatch.setattr(adding, "commit", lambda: COMMIT)
    it = proof_of(counting)
    assert earlier(it, seed, tmp_path) is None
    (tmp_path / "secrets.json").write_text(json.dumps(made(1)))
    assert earlier(it, seed, tmp_path) is not None
    (tmp_path / "secrets.json").write_text(json.dumps(made(1) | before))
    with pytest.raises(ValueError, match=words):
        earlier(it, seed, tmp_path)


def test_figures_that_are_no_sums_are_not_added_up(tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text(json.dumps(made(1)))
    with pytest.raises(ValueError, match="cannot be added up"):
        earlier(proof_of(counting, adds_up=False), 2, tmp_path)


def test_a_changed_tree_is_not_added_to_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adding, "commit", lambda: commit().rstrip("+") + "+")
    words = ["secrets", "--count", "5", "--seed", "1", "--reports", str(tmp_path / "proof")]
    assert main(words) == 0
    with pytest.raises(ValueError, match="another commit"):
        main([*words[:3], "--seed", "2", "--add", *words[5:]])
