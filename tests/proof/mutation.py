"""Mutation testing: a change of the code that no test notices is a loss, unless it is explained.

Each mutant meets the tests of its own module. Explained survivors stand in `equivalents.txt`.
"""

from __future__ import annotations

import multiprocessing
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Final

from tests.proof import mutated
from tests.proof.parallel import spread
from tests.proof.report import ROOT, Bound, Proof, Result

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.proof.mutants import Mutant

EQUIVALENTS: Final = Path(__file__).with_name("equivalents.txt")
GOAL: Final = 95.0  # per cent of those that were run and are not explained


@dataclass(frozen=True, slots=True)
class Target:
    """A module, and the tests that its mutants meet."""

    module: Path
    tests: tuple[str, ...]

    @property
    def name(self) -> str:
        """The module, as a path from the root."""
        return self.module.as_posix()


# In processes of their own run the tests of these: a fork's mutant does not reach them.
BY_PROCESSES: Final = ("oidc", "sign_in", "tenant_jwt", "web_token")
DECLARED: Final = "tests/protocol/test_declared.py"
OWN_AUTH: Final = {
    "jwks": ("jwt", "answers"),
    "compact": ("jwt",),
    "times": ("jwt",),
    "claims": ("ticket", "jwt"),
    "connect_request": ("authenticator", "proxies"),
    "open": ("authenticator",),
}
OWN: Final = {
    "frames": ("test_frame_parser.py", "test_pass_through.py"),
    "masking": ("test_frame_parser.py",),
    "connection": ("test_client_connection.py", "test_client.py", "test_detach.py"),
    "client": ("test_client.py", "test_client_connection.py"),
    "transport": ("test_client_connection.py", "test_io_batcher.py"),
    "limits": ("test_frame_parser.py", "test_client_connection.py"),
}


def targets() -> list[Target]:
    """All modules of the rules, of authentication and of the framing that run in process."""
    found = []
    for path in sorted((ROOT / "app" / "protocol").glob("*.py")):
        own = f"tests/protocol/test_{path.stem}.py"
        if (ROOT / own).exists():
            found.append(Target(path.relative_to(ROOT), (own, DECLARED)))
    for path in sorted((ROOT / "app" / "auth").glob("*.py")):
        if path.stem in (*BY_PROCESSES, "__init__"):
            continue
        names = OWN_AUTH.get(path.stem, (path.stem,))
        files = tuple(f"tests/auth/test_{name}.py" for name in names)
        found.append(Target(path.relative_to(ROOT), files))
    for path in sorted((ROOT / "app" / "websocket").glob("*.py")):
        if path.stem in ("__init__", "compiled", "interface"):
            continue
        names = OWN.get(path.stem, (f"test_{path.stem}.py",))
        own_files = tuple(f"tests/websocket/{n}" for n in names)
        if not all((ROOT / name).exists() for name in own_files):
            own_files = ("tests/websocket/test_client_connection.py",)
        found.append(Target(path.relative_to(ROOT), own_files))
    return found


def explained(text: str) -> dict[str, str]:
    """Survivors that change nothing, with the reason: `module: code before => after # reason`."""
    entries = {}
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            what, _, reason = line.rpartition(" # ")
            assert reason.strip(), f"no reason: {line}"
            entries[what.strip()] = reason.strip()
    return entries


def change(before: str, mutant: Mutant) -> str:
    """How a mutant's first changed line reads, before and after."""
    pairs = zip(before.splitlines(), mutant.source.splitlines(), strict=False)
    for old, new in pairs:
        if old != new:
            return f"{' '.join(old.split())} => {' '.join(new.split())}"
    return f"{mutant.name} (lines moved)"


def judge(target: Target, bound: Bound, result: Result, known: dict[str, str], most: int) -> None:
    """Run at most so many mutants of one module, within a bound."""
    from tests.proof.mutants import mutants  # noqa: PLC0415 - its cosmic-ray is for proofs alone

    source = (ROOT / target.module).read_text()
    usual = mutated.measure(target.tests)
    mutated.preload(usual.names)
    control = mutated.run(target.module, source, target.tests, usual)
    if control is not mutated.Fate.SURVIVED:
        result.lose(f"{target.name}: without a mutation the tests do not pass ({control.value})")
        return
    for mutant in islice(mutants(source, str(bound.seed)), most):
        if bound.over():
            return
        fate = mutated.run(target.module, mutant.source, target.tests, usual)
        what = f"{target.name}: {change(source, mutant)}"
        result.add("mutants run")
        if fate is mutated.Fate.SURVIVED and what in known:
            result.add("survived and is explained")
            continue
        result.add(fate.value)
        if fate in (mutated.Fate.SURVIVED, mutated.Fate.BROKEN):
            result.notes.append(f"{fate.value}: {what}")
            print(f"{fate.value}: {what} ({mutant.name})", flush=True)


def run(bound: Bound, over: Iterable[Target] | None = None) -> Result:
    """Run the targets in an order of the seed's, until the bound, each in one of the processes.

    The count is spread over the modules alike, so that each is reached; the share killed is judged.
    """
    result = Result(least=("mutants run",))
    chosen: Sequence[Target] = targets() if over is None else list(over)
    chosen = Random(bound.seed).sample(chosen, len(chosen))  # noqa: S311 - to be had again
    known = explained(EQUIVALENTS.read_text())
    most = max(1, -(-bound.count // len(chosen)))
    taken = multiprocessing.get_context("fork").Value("i", 0)

    def work(part: Bound, result: Result) -> None:
        """Take one target after the other that no process has taken; the seed is the run's."""
        while not part.over():
            with taken.get_lock():
                place, taken.value = taken.value, taken.value + 1
            if place >= len(chosen):
                return
            target = chosen[place]
            print(f"{target.name} ...", flush=True)
            began, before = time.monotonic(), result.done.get("mutants run", 0)
            own = part.part(most, part.left, bound.seed)
            judge(target, own, result, known, most)
            result.add("modules reached")
            made = result.done.get("mutants run", 0) - before
            print(f"{target.name}: {made:.0f} in {time.monotonic() - began:.0f} s", flush=True)

    spread(work, bound, result)
    result.done["modules in all"] = len(chosen)
    counted = sum(result.done.get(fate, 0) for fate in ("killed", "timed out", "survived"))
    killed = counted - result.done.get("survived", 0)
    share = 100 * killed / counted if counted else 0.0
    result.done["per cent killed"] = share
    result.require(share >= GOAL, f"{share:.1f} % killed, not {GOAL}")
    result.require(not result.done.get("broken"), "tests that could not be run")
    return result


PROOF: Final = Proof(
    "mutation",
    "a change of the rules, of authentication or of the framing is noticed by their tests",
    count=1000,
    seconds=3600,
    unit="mutants",
    run=run,
    adds_up=False,
)
