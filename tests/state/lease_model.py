"""Random schedules of the registration protocol, with crashes between every two of its steps.

The real code of several replicas runs without an event loop: each command that it sends is a step,
which the schedule carries out when it likes, in any order that a Redis Cluster allows. Before or
after each step a replica may crash, an answer may be lost, or a command may be carried out late.
A server of the cluster may be replaced by one that lacks its last writes, and a slot may move:
some of its commands fail then. The scripts read the schedule's time.
"""

from __future__ import annotations

import random
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from app.protocol.errors import StoreUnavailable
from app.state.interface import SessionRow
from app.state.keys import Keys
from app.state.owners import BEAT_OWNER, Owners
from app.state.redis_client import ScriptCall
from app.state.session_registry import SessionRegistry
from app.state.sweeper import Sweeper
from tests.state.failovers import ADDRESSES, SUBJECTS, TENANTS, Failovers
from tests.state.lease_checks import check_left, check_registered
from tests.state.model_replica import CAPS, LEASE, Replica, Store, Task
from tests.state.model_store import tag_of

if TYPE_CHECKING:
    from tests.state.model_store import ModelStore

OLDEST_BEAT: Final = 6.0
"""Seconds after which a living replica has beaten again: none is taken for dead by mistake."""

MAX_REPLICAS: Final = 3
PREFIXES: Final = 24
"""Of the keys: each spreads them over the servers in another way."""

LATE: Final = 2.0


class Schedule:
    """One run by one seed. Raises `AssertionError` as soon as a promise is broken."""

    def __init__(self, store: ModelStore, seed: int) -> None:
        self.dice = random.Random(seed)  # noqa: S311 - no secret
        self.store = store
        self.keys = keys_of(seed % PREFIXES)
        self.now = 1_000_000.0
        self.replicas: list[Replica] = []
        self.late: list[tuple[float, Any]] = []
        self.faults = True
        self.counts: Counter[str] = Counter()
        self.failovers = Failovers(self.store, self.keys, self.dice)
        self.moving: Counter[str] = Counter()
        self._names = 0

    def run(self, length: int) -> None:
        """Do `length` random things; then let everything end, and look at what is left."""
        self.store.reset()
        self._set_time()
        checked = 0
        for _ in range(length):
            self._act()
            if self.counts["admitted"] != checked:
                checked = self.counts["admitted"]
                self._check_caps()
        self._finish()

    def _act(self) -> None:
        if len(self.replicas) < MAX_REPLICAS and self.dice.random() < 0.3:
            self.start()
        if not self.replicas:
            return
        if self.dice.random() < 0.03:
            self._fail_over()
        chance = self.dice.random()
        busy = [(r, t) for r in self.replicas for t in r.tasks]
        if busy and chance < 0.75:
            self.advance(*self.dice.choice(busy))
        elif chance < 0.87:
            self._enter(self.dice.choice(self.replicas))
        elif chance < 0.93:
            self._leave(self.dice.choice(self.replicas))
        elif chance < 0.97:
            self._begin_beat(self.dice.choice(self.replicas))
        else:
            self.pass_time(self.dice.uniform(0.5, 4.0))

    def start(self) -> None:
        self._names += 1
        client: Any = Store(self.dice)
        name = f"r{self._names}"
        owners = Owners(
            client,
            client,
            self.keys,
            name,
            lease=LEASE,
            is_doubtful=lambda: False,
            clock=lambda: self.now,
            token=lambda: f"{self.dice.getrandbits(32):08x}",
        )
        registry = SessionRegistry(client, self.keys, owners, clock=lambda: self.now)
        sweeper = Sweeper(client, self.keys, owners, registry.removals)
        self.replicas.append(Replica(name, owners, registry, sweeper, self.now))

    def _enter(self, replica: Replica) -> None:
        dice = self.dice
        row = self.row(replica, dice.choice(SUBJECTS), dice.choice(ADDRESSES), dice.choice(TENANTS))
        self.begin(replica, Task("enter", replica.registry.enter(row, CAPS), row))

    def row(
        self, replica: Replica, subject: str, address: str, tenant: str | None = None
    ) -> SessionRow:
        return SessionRow(
            id=f"{self.dice.getrandbits(64):016x}",
            replica=replica.name,
            agent="default",
            call_type="chat",
            subject=subject,
            address=address,
            started_at=self.now,
            tenant=tenant,
        )

    def _leave(self, replica: Replica) -> None:
        if replica.admitted:
            row = replica.admitted.pop(self.dice.choice(sorted(replica.admitted)))
            self.begin(replica, Task("leave", replica.registry.leave(row), row))

    def _begin_beat(self, replica: Replica) -> Task | None:
        if any(task.kind == "beat" for task in replica.tasks):
            return None
        task = Task("beat", replica.beat())
        self.begin(replica, task)
        return task

    def begin(self, replica: Replica, task: Task) -> None:
        replica.tasks.append(task)
        self._resume(replica, task, None)

    def advance(self, replica: Replica, task: Task) -> None:
        """Carry out what a task waits for, or let something go wrong with it."""
        assert task.step is not None
        command = task.step.command
        fault = self.dice.random() if self.faults else 1.0
        if command[0] == "INFO" if isinstance(command, tuple) else False:
            self._resume(replica, task, self.failovers.ids())
        elif fault < 0.02:
            self._crash(replica, command if self.dice.random() < 0.5 else None)
        elif fault < 0.06:
            self.counts["lost"] += 1
            what = self.dice.randrange(3)
            if what == 1:
                self.store.carry_out(command)
            elif what == 2:
                self.late.append((self.now, command))
            self._resume(replica, task, StoreUnavailable("lost"))
        elif self.faults and self._is_moving(command):
            self.counts["moved"] += 1
            self._resume(replica, task, StoreUnavailable("try again"))
        else:
            answer = self.store.carry_out(command)
            if isinstance(command, ScriptCall) and command.script is BEAT_OWNER:
                replica.beaten = self.now
            self._resume(replica, task, answer)

    def _is_moving(self, command: Any) -> bool:
        """Whether the command's slot moves: some of its commands are refused then."""
        key = command.keys[0] if isinstance(command, ScriptCall) else command[1]
        tag = tag_of(key)
        if self.dice.random() < 0.01:
            self.moving[tag] += self.dice.randrange(1, 8)
        if self.moving[tag] <= 0:
            return False
        self.moving[tag] -= 1
        return self.dice.random() < 0.5

    def _resume(self, replica: Replica, task: Task, answer: Any) -> None:
        try:
            if isinstance(answer, StoreUnavailable):
                task.step = task.coroutine.throw(answer)
            else:
                task.step = task.coroutine.send(answer)
        except StopIteration as end:
            replica.tasks.remove(task)
            self.counts[task.kind] += 1
            if task.kind == "enter" and end.value is None:
                assert task.row is not None
                replica.admitted[task.row.id] = task.row
                self.counts["admitted"] += 1
        except StoreUnavailable:
            replica.tasks.remove(task)

    def _crash(self, replica: Replica, last: Any) -> None:
        self.counts["crashed"] += 1
        if last is not None:
            self.store.carry_out(last)
        for task in replica.tasks:
            task.coroutine.close()
        self.replicas.remove(replica)

    def _fail_over(self) -> None:
        """Take note of what a replica of a server has, or make it the primary."""
        if self.failovers.step():
            self.counts["failovers"] += 1

    def pass_time(self, seconds: float) -> None:
        """Let time pass; who has not beaten for long beats first, and late commands come."""
        self.failovers.end()  # what is that old is replicated
        faults, self.faults = self.faults, False
        for replica in self.replicas:
            if self.now + seconds - replica.beaten > OLDEST_BEAT:
                self.beat_now(replica)
        self.faults = faults
        self.now += seconds
        self._set_time()
        due = [command for at, command in self.late if self.now - at > LATE]
        self.late = [(at, command) for at, command in self.late if self.now - at <= LATE]
        for command in due:
            self.store.carry_out(command)

    def _set_time(self) -> None:
        self.store.set_time(round(self.now * 1000))

    def beat_now(self, replica: Replica) -> None:
        while any(task.kind == "beat" for task in replica.tasks):
            self.advance(replica, next(t for t in replica.tasks if t.kind == "beat"))
        task = self._begin_beat(replica)
        while task in replica.tasks:
            assert task is not None
            self.advance(replica, task)

    def _live(self) -> list[SessionRow]:
        return [row for replica in self.replicas for row in replica.admitted.values()]

    def _check_caps(self) -> None:
        """A cap holds, but for the places that a failover has forgotten."""
        live = self._live()
        subjects = Counter(row.subject_scope for row in live)
        addresses = Counter(row.address for row in live)
        for counts, cap, name in (
            (subjects, CAPS.per_subject, self.keys.subject_cap),
            (addresses, CAPS.per_address, self.keys.address_cap),
        ):
            for of, count in counts.items():
                assert count <= cap + self.failovers.forgotten[name(of)], (of, count)

    def _finish(self) -> None:
        """End some replicas in order and crash the others; nothing may be left after the lease."""
        self.faults = False
        self.failovers.end()
        for replica in list(self.replicas):
            for task in list(replica.tasks):
                while task in replica.tasks:
                    self.advance(replica, task)
            if self.dice.random() < 0.4:
                self._crash(replica, None)
        self._check_caps()
        for _ in range(2):
            self.pass_time(LATE + 1)
        self._end_all()
        check_left(self)

    def _end_all(self) -> None:
        """What lives is registered as a whole; then it ends."""
        for replica in self.replicas:
            for _ in range(2):
                self.beat_now(replica)
            check_registered(self, replica)
        for replica in self.replicas:
            while replica.admitted:
                self._leave(replica)
            while replica.tasks:
                self.advance(replica, replica.tasks[0])
            self.beat_now(replica)


@lru_cache
def keys_of(number: int) -> Keys:
    """The names of one prefix, of which many schedules are made."""
    return Keys(f"m{number}", spread=True)
