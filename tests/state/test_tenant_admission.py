"""Sessions of tenants are admitted, accounted for and ended by what both stores say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry

from app.gateway.tenants import TenantAdmission
from app.protocol.errors import Refusal, StoreUnavailable
from app.protocol.tenant import Tenant, TenantLimits
from app.relay.lifecycle import EventType, LifecycleEvent
from app.state.redis import RedisState
from app.telemetry.tenants import TenantMetrics
from tests.state.conftest import PATIENT, row, running

if TYPE_CHECKING:
    from app.state.interface import State
    from tests.support.redis import RedisServer


class Events:
    """Keeps what is emitted."""

    def __init__(self) -> None:
        self.emitted: list[LifecycleEvent] = []

    def emit(self, event: LifecycleEvent) -> None:
        self.emitted.append(event)


def admission(state: State, events: Events | None = None, **limits: float) -> TenantAdmission:
    tenant = Tenant("acme", frozenset({"default"}), TenantLimits(**limits))  # type: ignore[arg-type]
    metrics = TenantMetrics(CollectorRegistry())
    return TenantAdmission(state.ledger, {"acme": tenant}, metrics, events)


async def test_budgets_are_told_once_also_by_the_last_session(state: State) -> None:
    events = Events()
    one, other = (admission(state, events, minutes_per_day=1) for _ in range(2))
    for name, seconds in (("a", 30), ("b", 20), ("c", 15)):
        session = row(name, tenant="acme", seconds=seconds)
        await one.enter(session)
        await one.leave(session)
        await other.account([row(f"{name}2", tenant="acme")], lambda *_: None)
    told = [(e.type, e.tenant, e.data["period"], e.data["percent"]) for e in events.emitted]
    reached = EventType.BUDGET_REACHED
    assert told == [(reached, "acme", "day", 80), (reached, "acme", "day", 100)]
    with pytest.raises(Refusal) as refused:
        await other.enter(row("d", tenant="acme"))
    assert refused.value.reason.code == 4429
    assert 0 < (refused.value.retry_after or 0) <= 86_400


async def test_overdue_sessions_end_and_others_do_not(state: State) -> None:
    ended: list[str] = []

    def end(session_id: str, message: str, retry_after: float) -> None:
        assert "budget" in message
        assert retry_after > 0
        ended.append(session_id)

    strict = admission(state, minutes_per_day=1, budget_grace=0)
    patient = admission(state, minutes_per_day=1, budget_grace=600)
    live = [row("a", tenant="acme", seconds=61), row("operators", seconds=1e6)]
    await patient.account(live, end)
    assert ended == []
    await strict.account(live, end)
    assert ended == ["a"]


async def test_sessions_of_the_operator_have_no_bounds(state: State) -> None:
    bounded = admission(state, max_sessions=1, minutes_per_day=0.001)
    for name in ("a", "b", "c"):
        await bounded.enter(row(name))
        await bounded.leave(row(name, seconds=1e6))


async def test_a_lost_store_refuses_what_is_new_and_ends_nothing(
    mortal_redis: RedisServer, prefix: str
) -> None:
    store = RedisState(mortal_redis.url, "a", prefix=prefix, timings=PATIENT)
    async with running(store):
        tenants = admission(store, minutes_per_day=10, budget_grace=0)
        live = row("a", tenant="acme", seconds=5)
        await tenants.enter(live)
        mortal_redis.stop()
        with pytest.raises(Refusal) as refused:
            await tenants.enter(row("b", tenant="acme"))
        assert refused.value.reason.code == 4503
        ended: list[str] = []
        with pytest.raises(StoreUnavailable):
            await tenants.account([live], lambda session_id, *_: ended.append(session_id))
        assert ended == []
        await tenants.leave(live)  # it is told later
        mortal_redis.start()
