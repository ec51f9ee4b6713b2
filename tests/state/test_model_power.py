"""The model of the registration protocol has the power to find faults that are put into it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from app.state import registration
from app.state.owners import Owners
from app.state.registration import FORCED, Registrations
from app.state.removals import Removals
from app.state.scripts import Script
from app.state.session_scripts import RELEASE
from app.state.sweeper import Sweeper
from app.state.verification import Verification
from tests.state.lease_model import Schedule
from tests.state.model_memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST = 500
LENGTH = 80

UNCOUNTED = Script(RELEASE.text.replace("redis.call('HINCRBY', KEYS[1], '', -1)", "1"))

removal, reserve, remove = Registrations.removal, Registrations.reserve, Removals.remove


async def no_sweep(*_: object) -> None: ...


def no_mark(self: Registrations, held: Any, *, mark: bool) -> Any:  # noqa: ARG001
    return removal(self, held, mark=False)


def one_more(self: Registrations, held: Any, cap: str, most: int) -> Any:
    return reserve(self, held, cap, most if most == FORCED else most + 1)


def ignored(*_: object) -> int:
    return 0


async def all_dead(self: Owners, operation: str, owners: Any) -> set[str]:  # noqa: ARG001
    return set(owners)


async def notes_first(self: Removals, gone: Any, operation: str, **options: Any) -> None:
    if gone:
        await self._store.run(operation, self._make.forget(gone))
    await remove(self, gone, operation, **options)


async def nothing_missing(*_: object) -> list[str]:
    return []


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with capture_logs():
        yield


@pytest.mark.parametrize(
    ("of", "name", "fault"),
    [
        pytest.param(Sweeper, "sweep", no_sweep, id="dead owners are not swept"),
        pytest.param(Registrations, "removal", no_mark, id="removed sessions are not marked"),
        pytest.param(Registrations, "reserve", one_more, id="a cap admits one more"),
        pytest.param(Removals, "suspect", ignored, id="removals are not repeated"),
        pytest.param(Removals, "remove", notes_first, id="notes are removed first"),
        pytest.param(Verification, "incomplete", nothing_missing, id="lost parts are not seen"),
        pytest.param(Owners, "dead_among", all_dead, id="the living are taken for dead"),
        pytest.param(registration, "RELEASE", UNCOUNTED, id="a script does not count down"),
    ],
)
def test_fault_is_found(
    monkeypatch: pytest.MonkeyPatch, of: object, name: str, fault: object
) -> None:
    monkeypatch.setattr(of, name, fault)
    store = MemoryStore()
    for seed in range(MOST):
        try:
            Schedule(store, seed).run(LENGTH)
        except AssertionError as found:
            print(f"found by seed {seed}: {found}")
            return
    pytest.fail(f"not found by {MOST} schedules")
