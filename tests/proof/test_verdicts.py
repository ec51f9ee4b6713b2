"""Each proof holds in a small run, and each verdict fails when what it looks for is planted."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from app.protocol.close_codes import UNAUTHENTICATED
from app.protocol.errors import Refusal
from tests.proof import credentials, hostile, mutated, mutation, secrets, soak, tested, tools
from tests.proof.__main__ import main, proof
from tests.proof.failing import attempt
from tests.proof.report import ROOT, Bound, Proof, Result, report
from tests.websocket.listeners import Heard

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from app.tools.interface import ToolContext

pytestmark = [pytest.mark.source]
NEEDS_COSMIC_RAY = pytest.mark.nightly  # it is installed with requirements-proof.txt alone
SEED = 7


def bound(count: int, seconds: float = 60.0) -> Bound:
    return Bound(SEED, count, seconds)


def made(run: Callable[[Result], Any]) -> Result:
    result = Result()
    run(result)
    return result


# Each holds


def test_forged_tokens_and_ticket_races_hold() -> None:
    result = credentials.run(bound(400))
    assert (result.verdict, result.found) == ("held", [])
    assert result.done["forged tokens tried"] == 400
    assert result.done["tickets raced for"] == 40


def test_frames_messages_and_handshakes_hold() -> None:
    result = Result(least=("frames harmed and parsed", "messages judged", "handshakes harmed"))
    hostile.frames(bound(1500), result)
    hostile.messages(bound(150), result)
    asyncio.run(hostile.handshakes(bound(150), result))
    assert (result.verdict, result.found) == ("held", [])


@pytest.mark.nightly  # Atheris is installed with requirements-proof.txt alone
def test_inputs_that_coverage_guides_hold() -> None:
    result = hostile.run(bound(1500))
    assert (result.verdict, result.found) == ("held", [])
    assert result.done["inputs that coverage guided"] >= 500


def test_tools_hold() -> None:
    result = tools.run(bound(200))
    assert (result.verdict, result.found) == ("held", [])


def test_redaction_holds() -> None:
    result = secrets.run(bound(1000))
    assert (result.verdict, result.found) == ("held", [])


@NEEDS_COSMIC_RAY
def test_mutants_of_a_module_are_killed() -> None:
    [target] = [it for it in mutation.targets() if it.module.stem == "rate_limit"]
    result = mutation.run(bound(3), [target])
    assert (result.verdict, result.found) == ("held", [])
    assert result.done["mutants run"] == 3


# Each notices


class LetsIn:
    """Authentication that takes whatever it is given."""

    async def authenticate(self, *_: object) -> str:
        return "anybody"


class Crashes:
    """Authentication that fails by another error than a refusal."""

    async def authenticate(self, *_: object) -> str:
        raise OverflowError


class Refuses:
    """Authentication that refuses valid tokens, too."""

    async def authenticate(self, *_: object) -> str:
        raise Refusal(UNAUTHENTICATED)


@pytest.fixture(scope="module")
def forger() -> Any:
    """Forges tokens; keys are generated for it, which takes a while."""
    [(_, made), *_] = credentials.methods()
    return made


@pytest.mark.parametrize("method", [LetsIn(), Crashes(), Refuses()])
def test_a_token_that_is_let_in_or_crashes_is_noticed(method: Any, forger: Any) -> None:
    result = Result()
    asyncio.run(credentials.tokens(bound(30), result, [(method, forger)]))
    assert result.verdict == "lost"


def test_a_ticket_that_two_get_is_noticed() -> None:
    class Minted:
        ticket = "one"

    class Twice:
        async def mint(self, _: object) -> type[Minted]:
            return Minted

        async def redeem(self, *_: object) -> str:
            return "anybody"

    result = Result()
    asyncio.run(credentials.races([Twice(), Twice()], bound(2), result))  # type: ignore[list-item]
    assert result.lost == 2


def test_a_parser_that_crashes_forgets_or_hears_otherwise_when_cut_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class CrashingHeard(Heard):
        def feed(self, data: bytes) -> Heard:
            if b"\x81" in data[:1]:
                raise IndexError
            self.events.append(("read", len(data)))
            return super().feed(data)

    monkeypatch.setattr(hostile, "Heard", CrashingHeard)
    result = made(lambda result: hostile.frames(bound(300), result))
    assert any("IndexError" in found for found in result.found)
    assert any("heard otherwise when cut" in found for found in result.found)


def test_a_message_judged_otherwise_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hostile, "_good", lambda _: True)
    result = made(lambda result: hostile.messages(bound(100), result))
    assert result.lost


def test_a_handshake_that_may_not_open_and_does_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def opens(*_: object) -> bytes:
        return b"HTTP/1.1 101 Switching Protocols\r\n\r\n"

    monkeypatch.setattr(hostile, "_open", opens)
    result = Result()
    asyncio.run(hostile.handshakes(bound(100), result))
    assert result.lost


def test_a_tool_that_acts_twice_for_an_id_is_noticed() -> None:
    class Twice(tools.Effects):
        async def call(self, args: Any, ctx: ToolContext) -> Any:
            self.done[ctx.call_id] += 1
            return await super().call(args, ctx)

    result = Result()
    asyncio.run(tools.sessions(bound(1), result, Twice))
    assert any("2 effects" in found for found in result.found)


def test_a_secret_that_is_left_is_noticed() -> None:
    result = made(lambda result: secrets.redaction(bound(50), result, lambda text: text))
    assert result.lost == 50


@NEEDS_COSMIC_RAY
def test_a_mutant_that_no_test_notices_is_noticed(tmp_path: Path) -> None:
    blind = tmp_path / "test_blind.py"
    blind.write_text("def test_nothing(): assert True\n")
    target = mutation.Target((ROOT / "app/protocol/notices.py").relative_to(ROOT), (str(blind),))
    result = mutation.run(bound(2), [target])
    assert result.verdict == "lost"
    assert result.done["survived"] == 2


def test_tests_that_fail_without_a_mutation_prove_nothing(tmp_path: Path) -> None:
    broken = tmp_path / "test_broken.py"
    broken.write_text("def test_no(): assert False\n")
    with pytest.raises(AssertionError, match="without any mutation"):
        mutated.measure([str(broken)])


@NEEDS_COSMIC_RAY
def test_a_mutant_differs_in_what_is_executed_alone() -> None:
    from tests.proof.mutants import mutants  # noqa: PLC0415 - imports cosmic-ray

    source = (
        "from __future__ import annotations\ndef f(a: int | None) -> int | None:\n    return 1\n"
    )
    assert {mutant.line for mutant in mutants(source, "1")} == {3}


def test_a_failing_or_skipped_test_is_a_loss(tmp_path: Path) -> None:
    file = tmp_path / "test_it.py"
    file.write_text(
        "import pytest\ndef test_a(): assert False\ndef test_b(): pytest.skip('no')\n"
        "def test_c(): pass\n"
    )
    result = Result()
    tested.run([str(file)], 60, result)
    assert (result.lost, result.done["tests passed"]) == (2, 1)
    tested.run([str(tmp_path / "test_none.py")], 60, result)
    assert result.lost == 3


def test_what_fails_in_a_run_is_a_loss() -> None:
    async def lost(_: Path) -> dict[str, float]:
        raise AssertionError("c3: saw [1, 3]")

    async def hangs(_: Path) -> dict[str, float]:
        await asyncio.Event().wait()
        return {}

    result = Result()
    attempt(lost, result, 5)
    attempt(hangs, result, 0.05)
    assert (result.lost, len(result.unfinished)) == (1, 1)
    assert "saw [1, 3]" in result.found[0]


@pytest.mark.parametrize("planted", ["memory", "lag", "closed", "unanswered"])
def test_a_soak_that_leaks_lags_or_loses_is_noticed(planted: str) -> None:
    hour = 3600
    watched = soak.Watched(
        [(at * hour / 100, 80.0) for at in range(400)], [0.001] * 100, answered=10
    )
    clean = made(lambda result: soak.judge(watched, result))
    assert clean.lost == 0
    match planted:
        case "memory":
            watched.memory = [(at * hour / 100, 80.0 + at / 25) for at in range(400)]
        case "lag":
            watched.lags[-2:] = [0.5, 0.5]
        case "closed":
            watched.closed.append(1011)
        case "unanswered":
            watched.unanswered = 1
    assert made(lambda result: soak.judge(watched, result)).lost == 1


def test_what_made_nothing_has_not_held() -> None:
    assert Result().verdict == "nothing done"
    assert Result({"cuts": 0.0}, least=("cuts",)).verdict == "nothing done"
    assert Result({"cuts": 1.0}, lost=1).verdict == "lost"
    assert Result({"cuts": 1.0}, unfinished=["not within 5 s"]).verdict == "unfinished"
    assert Result({"cuts": 1.0}, least=("cuts",)).verdict == "held"


def test_exit_status_says_whether_it_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["secrets", "--count", "10", "--seed", "1", "--reports", str(tmp_path / "proof")]
    assert main(words) == 0
    lost = Proof("secrets", "it", 1, 1.0, "texts", lambda _: Result({"texts": 1.0}, lost=1))
    monkeypatch.setattr(secrets, "PROOF", lost)
    assert proof("secrets") is lost
    assert main(words) == 1
    assert "**Lost**: 1 lost." in (tmp_path / "PROOF.md").read_text()


def test_a_seed_makes_the_inputs_of_a_run_again(
    forger: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    valid = [f"{'a' * 20}.{'b' * n}.{'c' * 43}" for n in range(50)]
    monkeypatch.setattr(forger, "valid", valid)

    def tokens() -> list[str]:
        forger._random = Random(SEED)  # noqa: S311 - to be had again
        return [forger._harmed() for _ in range(20)]

    assert tokens() == tokens()


def test_a_report_says_on_what_it_ran() -> None:
    it = proof("secrets")
    told = report(it, bound(1), Result({"texts": 1.0}), 1.0)
    assert told["machine"]["processors"] > 0
    assert told["seed"] == SEED


def test_each_explained_survivor_has_a_module_that_is_and_a_reason() -> None:
    found = mutation.explained(mutation.EQUIVALENTS.read_text())
    assert found
    for what, reason in found.items():
        module, _, changed = what.partition(": ")
        before = " ".join((ROOT / module).read_text().split())
        assert changed.partition(" => ")[0] in before, what
        assert reason
