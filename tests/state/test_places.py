"""Places for upstream sessions: a stateful model, held against the rules and against Redis."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from redis import Redis

from app.state.places import PlaceBounds, PlaceChanges, PlaceReport, PlaceTable, Standing, Waiter
from app.state.redis import RedisState, Timings

if TYPE_CHECKING:
    from tests.support.redis import RedisServer

LEASE, GUARD = 10.0, 3.0
STEP = 1.0
_prefixes = count()


class Rules:
    """The rules alone, with a clock of the test's."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.table = PlaceTable(LEASE, GUARD)

    def synchronize(self, replica: str, bounds: PlaceBounds, changes: PlaceChanges) -> PlaceReport:
        del replica
        return self.table.synchronize(bounds, changes, self.now)

    def advance(self, seconds: float) -> None:
        self.now += seconds

    def forget(self) -> None:
        self.table = PlaceTable(LEASE, GUARD)

    def close(self) -> None:
        """Nothing to let go of."""


class Script:
    """The script in a real Redis. Time passes by moving what it has written into the past."""

    def __init__(self, server: RedisServer) -> None:
        self.prefix = f"places{next(_prefixes)}"
        self.runner = asyncio.Runner()
        self.states = {name: self._open(server.url, name) for name in "ab"}
        self.redis = Redis.from_url(server.url)

    def _open(self, url: str, name: str) -> RedisState:
        async def opened() -> RedisState:
            # Real time passes too, a little: leases are longer than a whole run takes.
            timings = Timings(timeout=5.0, place_lease=LEASE * 100, place_guard=GUARD * 100)
            return RedisState(url, name, prefix=self.prefix, timings=timings)

        return self.runner.run(opened())

    def synchronize(self, replica: str, bounds: PlaceBounds, changes: PlaceChanges) -> PlaceReport:
        return self.runner.run(self.states[replica].synchronize_places(bounds, changes))

    def advance(self, seconds: float) -> None:
        shift = -round(seconds * 100_000)
        for part in ("held", "leases"):
            key = self.key(part)
            for entry, _ in self.redis.zscan_iter(key):
                self.redis.zincrby(key, shift, entry)
        if self.redis.exists(self.key("last")):
            self.redis.incrby(self.key("last"), shift)
        for key in (self.key("guarded"), *self.redis.scan_iter(self.key("turn:*"))):
            left: Any = self.redis.pttl(key)
            if left > 0:
                self.redis.pexpire(key, max(1, left + shift)) if left + shift > 0 else (
                    self.redis.delete(key)
                )

    def forget(self) -> None:
        for key in self.redis.scan_iter(self.key("*")):
            self.redis.delete(key)
        time.sleep(0.02)  # as a restart takes; numbers are milliseconds of Redis' clock

    def key(self, part: str) -> str:
        return f"{{{self.prefix}}}:places:{part}"

    def close(self) -> None:
        async def closed() -> None:
            for state in self.states.values():
                await state.close()

        self.runner.run(closed())
        self.runner.close()
        self.redis.close()


@dataclass
class Replica:
    """What a replica believes: numbers of its waiters (0: not entered yet), and its holders."""

    name: str
    waiting: dict[str, int] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    releasing: list[str] = field(default_factory=list)
    beaten: bool = False
    alive: bool = True


class Line(RuleBasedStateMachine):
    """Sessions of two replicas come, go, and crash with their replica between any two steps.

    A replica that lives synchronizes at least once a step of time, as the gateway's loop does.
    """

    backend: Any = Rules
    bounds = PlaceBounds(2, 4)

    def __init__(self) -> None:
        super().__init__()
        self.store = self.backend()
        self.numbers = count(1)
        self.replicas = {name: Replica(name) for name in "ab"}
        self.order: list[str] = []  # of arrival, those who wait
        self.numbers_of: dict[str, int] = {}  # of those who have waited, when they were served

    def teardown(self) -> None:
        self.store.close()

    @property
    def living(self) -> list[Replica]:
        return [replica for replica in self.replicas.values() if replica.alive]

    def synchronize(self, replica: Replica) -> None:
        asked = [Waiter(name, number) for name, number in replica.waiting.items()]
        report = self.store.synchronize(
            replica.name,
            self.bounds,
            PlaceChanges(
                release=tuple(replica.releasing),
                hold=tuple(replica.held),
                wait=asked,
                beaten=replica.beaten,
            ),
        )
        replica.releasing.clear()
        replica.beaten = True
        for name, status in report.statuses.items():
            if status.standing is Standing.HELD:
                self.serve(replica, name)
            elif status.standing is Standing.WAITING:
                if not replica.waiting[name]:
                    self.order.append(name)
                replica.waiting[name] = status.number
                assert 1 <= status.position <= report.waiting
            else:
                assert not replica.waiting[name], "a waiter lost its place"
                # Refused for a reason: nothing is free, or the rest of the queue is before it.
                assert report.waiting >= self.bounds.queue
                del replica.waiting[name]

    def serve(self, replica: Replica, name: str) -> None:
        replica.held.add(name)
        number = replica.waiting.pop(name)
        if number:
            self.order.remove(name)
            self.numbers_of[name] = number

    @rule(which=st.sampled_from("ab"), size=st.integers(1, 3))
    def arrive(self, which: str, size: int) -> None:
        replica = self.replicas[which]
        if replica.alive:
            replica.waiting |= {f"s{next(self.numbers)}": 0 for _ in range(size)}
            self.synchronize(replica)

    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        """A conversation ends, and the gateway's loop tells the store at once."""
        held = [(each, name) for each in self.living for name in sorted(each.held)]
        if held:
            replica, name = data.draw(st.sampled_from(held))
            replica.held.remove(name)
            replica.releasing.append(name)
            self.synchronize(replica)

    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        waiting = [(each, name) for each in self.living for name in each.waiting]
        if waiting:
            replica, name = data.draw(st.sampled_from(waiting))
            if replica.waiting.pop(name):
                self.order.remove(name)
            replica.releasing.append(name)

    @rule(which=st.sampled_from("ab"))
    def beat(self, which: str) -> None:
        if self.replicas[which].alive:
            self.synchronize(self.replicas[which])

    @rule()
    def time_passes(self) -> None:
        self.store.advance(STEP)
        for _ in range(2):  # one that was given a place by another's call is woken
            for replica in self.living:
                self.synchronize(replica)
        self.check_order()

    def check_order(self) -> None:
        """Nobody who waits came before anybody who has been served."""
        numbers = [number for each in self.living for number in each.waiting.values()]
        held = {name for each in self.living for name in each.held}
        served = [self.numbers_of[name] for name in held if name in self.numbers_of]
        assert not numbers or not served or max(served) < min(numbers)
        arrived = {name: n for each in self.living for name, n in each.waiting.items()}
        assert sorted(self.order, key=arrived.__getitem__) == self.order

    @rule(which=st.sampled_from("ab"))
    def crash(self, which: str) -> None:
        """The replica dies: its sessions are gone at the vendor, its leases are not."""
        replica = self.replicas[which]
        if replica.alive:
            replica.alive = False
            self.order = [name for name in self.order if name not in replica.waiting]
            replica.waiting.clear()
            replica.held.clear()
            replica.releasing.clear()

    @rule(which=st.sampled_from("ab"))
    def restart(self, which: str) -> None:
        if not self.replicas[which].alive:
            self.replicas[which] = Replica(which)

    @precondition(lambda self: all(replica.alive for replica in self.replicas.values()))
    @rule(seconds=st.sampled_from([GUARD + 1, LEASE + 1, 10 * LEASE]))
    def store_is_away(self, seconds: float) -> None:
        """Nobody reaches the store for longer than leases last; then all do, one by one."""
        self.store.advance(seconds)

    @precondition(
        lambda self: all(replica.alive and replica.beaten for replica in self.replicas.values())
    )
    @rule(which=st.sampled_from("ab"))
    def store_forgets(self, which: str) -> None:
        """The first that the store hears of afterwards is a newcomer."""
        self.store.advance(STEP)  # a store that restarts is away for longer than a millisecond
        self.store.forget()
        name = f"s{next(self.numbers)}"
        self.store.synchronize(which, self.bounds, PlaceChanges(wait=[Waiter(name)], beaten=True))
        self.replicas[which].waiting[name] = 0
        self.synchronize(self.replicas[which])

    @precondition(lambda self: len(self.living) == 1)
    @rule()
    def leases_of_the_dead_run_out(self) -> None:
        """Everybody who lives is served, or waits behind a full bound."""
        for _ in range(round((LEASE + GUARD) / STEP) + 1):
            self.time_passes()
        if self.living:
            live = sum(len(replica.held) for replica in self.living)
            assert live == self.bounds.limit or not self.order, "a free place is given to nobody"

    @invariant()
    def bound_holds(self) -> None:
        live = sum(len(replica.held) for replica in self.replicas.values())
        assert self.bounds.limit is not None
        assert live <= self.bounds.limit


def test_rules_hold_over_crashes_outages_and_lost_data() -> None:
    run_state_machine_as_test(
        Line, settings=settings(max_examples=60, stateful_step_count=30, deadline=None)
    )


def test_script_in_redis_holds_the_same_rules(redis_server: RedisServer) -> None:
    class InRedis(Line):
        backend = staticmethod(lambda: Script(redis_server))

    run_state_machine_as_test(
        InRedis,
        settings=settings(
            max_examples=5,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.fixture(params=["rules", "redis"])
def table(request: pytest.FixtureRequest) -> Any:
    made = Rules() if request.param == "rules" else Script(request.getfixturevalue("redis_server"))
    yield made
    made.close()


def entered(table: Any, *names: str, replica: str = "a", bounds: PlaceBounds) -> PlaceReport:
    report: PlaceReport = table.synchronize(
        replica, bounds, PlaceChanges(wait=[Waiter(name) for name in names])
    )
    return report


ONE = PlaceBounds(1, 10)


def test_without_a_queue_the_bound_refuses(table: Any) -> None:
    report = entered(table, "s1", "s2", bounds=PlaceBounds(1, 0))
    assert [status.standing for status in report.statuses.values()] == ["held", "refused"]
    assert (report.held, report.waiting) == (1, 0)


def test_number_of_one_that_steps_aside_keeps_its_position(table: Any) -> None:
    entered(table, "s1", "s2", "s3", bounds=ONE)
    two = entered(table, "s2", bounds=ONE).statuses["s2"]
    table.synchronize("a", ONE, PlaceChanges(release=["s2"]))
    assert entered(table, "s3", bounds=ONE).statuses["s3"].position == 1
    back = table.synchronize("a", ONE, PlaceChanges(wait=[Waiter("s2", two.number)]))
    assert back.statuses["s2"].position == 1
    assert entered(table, "s3", bounds=ONE).statuses["s3"].position == 2


def test_turn_is_taken_up_once_on_another_replica(table: Any) -> None:
    first = entered(table, "s1", "s2", "s3", bounds=ONE).statuses["s2"]
    kept = Waiter("s2", first.number, "hash")
    table.synchronize("a", ONE, PlaceChanges(release=["s2"], keep=[kept]))
    wait = [Waiter("s9", 0, "hash"), Waiter("s10", 0, "hash"), Waiter("s11", 0, "unknown")]
    report = table.synchronize("b", ONE, PlaceChanges(wait=wait))
    assert [status.position for status in report.statuses.values()] == [1, 3, 4]


def test_published_limit_is_in_force_for_every_replica(table: Any) -> None:
    auto = PlaceBounds(None, 10)
    assert entered(table, "s1", "s2", bounds=auto).limit is None
    report = table.synchronize("a", auto, PlaceChanges(publish=3, poll=5))
    assert (report.limit, report.poll) == (3, True)
    report = table.synchronize("b", auto, PlaceChanges(wait=[Waiter("s3"), Waiter("s4")], poll=5))
    assert [status.standing for status in report.statuses.values()] == ["held", "waiting"]
    assert (report.limit, report.poll) == (3, False)
    report = table.synchronize("b", auto, PlaceChanges(publish=0))
    assert (report.limit, report.held) == (0, 3)
