"""Random schedules of the registration protocol, with crashes between every two of its steps.

The real code of several replicas runs without an event loop: each command that it sends is a step,
which the schedule carries out when it likes, in any order that a Redis Cluster allows. Before or
after each step a replica may crash, an answer may be lost, or a command may be carried out late.
The commands go to a real Redis, whose scripts read the time from the schedule.
"""

from __future__ import annotations

import random
import socket
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from app.protocol.errors import StoreUnavailable
from app.state.interface import Caps, SessionRow
from app.state.keys import Keys
from app.state.owners import BEAT_OWNER, Owners
from app.state.redis_client import ScriptCall
from app.state.session_registry import SessionRegistry
from app.state.sweeper import Sweeper

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

CAPS: Final = Caps(per_subject=2, per_address=3)
LEASE: Final = 15.0
OLDEST_BEAT: Final = 6.0
"""Seconds after which a living replica has beaten again: none is taken for dead by mistake."""

MAX_REPLICAS: Final = 3
LATE: Final = 2.0


class Wire:
    """One connection to Redis that waits for each answer."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")
        self._loaded: dict[str, bytes] = {}

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def ask(self, *words: Any) -> Any:
        parts = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        self._socket.sendall(
            b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(p), p) for p in parts)
        )
        return self._read()

    def carry_out(self, command: Any) -> Any:
        """Run a command or a script, whose clock is the key `now`."""
        if not isinstance(command, ScriptCall):
            return self.ask(*command)
        text = command.script.text.replace("redis.call('TIME')", "{redis.call('GET', 'now'), 0}")
        if text not in self._loaded:
            self._loaded[text] = self.ask("SCRIPT", "LOAD", text)
        return self.ask(
            "EVALSHA", self._loaded[text], len(command.keys), *command.keys, *command.args
        )

    def _read(self) -> Any:
        line = self._file.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"$":
            return None if rest == b"-1" else self._file.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return None if rest == b"-1" else [self._read() for _ in range(int(rest))]
        if kind == b":":
            return int(rest)
        assert kind == b"+", line
        return rest


class Step:
    """A command on its way; the schedule answers it, or raises."""

    def __init__(self, command: Any) -> None:
        self.command = command

    def __await__(self) -> Any:
        return (yield self)


class Store:
    """The part of `RedisClient` that the protocol uses; nothing of a batch is atomic."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice

    async def call(self, operation: str, *command: Any) -> Any:  # noqa: ARG002
        return await Step(command)

    async def script(self, operation: str, script: Any, keys: Any, args: Any) -> Any:  # noqa: ARG002
        return await Step(ScriptCall(script, keys, args))

    async def batch(self, operation: str, commands: Sequence[Any]) -> list[Any]:
        return await self.run(operation, commands)

    async def run(
        self,
        operation: str,  # noqa: ARG002
        calls: Sequence[Any],
        *,
        first_alone: bool = False,
    ) -> list[Any]:
        order = list(range(first_alone, len(calls)))
        self._dice.shuffle(order)
        replies: list[Any] = [None] * len(calls)
        lost: StoreUnavailable | None = None
        for at in [0] * first_alone + order:
            try:
                replies[at] = await Step(calls[at])
            except StoreUnavailable as error:
                if first_alone and at == 0:
                    raise
                lost = error  # what is on other nodes is carried out all the same
        if lost is not None:
            raise lost
        return replies


@dataclass(eq=False)
class Replica:
    """One process."""

    name: str
    owners: Owners
    registry: SessionRegistry
    sweeper: Sweeper
    beaten: float
    tasks: list[Task] = field(default_factory=list)
    admitted: dict[str, SessionRow] = field(default_factory=dict)

    async def beat(self) -> None:
        """What `RedisState.run` and the gateway's upkeep do."""
        claim = await self.owners.beat()
        if claim is not None:
            await self.sweeper.sweep(claim)
        await self.registry.settle()
        await self.registry.audit()
        await self.registry.refresh(list(self.admitted.values()))


@dataclass(eq=False)
class Task:
    """An operation under way; `step` is what it waits for."""

    kind: str
    coroutine: Coroutine[Any, Any, Any]
    row: SessionRow | None = None
    step: Step | None = None


class Schedule:
    """One run by one seed. `check` raises `AssertionError` as soon as a promise is broken."""

    def __init__(self, wire: Wire, seed: int) -> None:
        self.dice = random.Random(seed)  # noqa: S311 - no secret
        self.wire = wire
        self.keys = Keys("m", spread=True)
        self.now = 1_000_000.0
        self.replicas: list[Replica] = []
        self.late: list[tuple[float, Any]] = []
        self.faults = True
        self.counts: Counter[str] = Counter()
        self._names = 0
        wire.ask("FLUSHALL")
        self._set_time()

    def run(self, length: int) -> None:
        """Do `length` random things; then let everything end, and look at what is left."""
        for _ in range(length):
            self._act()
            self._check_caps()
        self._finish()

    def _act(self) -> None:
        if len(self.replicas) < MAX_REPLICAS and self.dice.random() < 0.3:
            self._start()
        if not self.replicas:
            return
        chance = self.dice.random()
        busy = [(r, t) for r in self.replicas for t in r.tasks]
        if busy and chance < 0.75:
            self._advance(*self.dice.choice(busy))
        elif chance < 0.87:
            self._enter(self.dice.choice(self.replicas))
        elif chance < 0.93:
            self._leave(self.dice.choice(self.replicas))
        elif chance < 0.97:
            self._begin_beat(self.dice.choice(self.replicas))
        else:
            self._pass_time(self.dice.uniform(0.5, 4.0))

    def _start(self) -> None:
        self._names += 1
        store: Any = Store(self.dice)
        name = f"r{self._names}"
        owners = Owners(store, store, self.keys, name, lease=LEASE, is_doubtful=lambda: False)
        registry = SessionRegistry(store, self.keys, owners, clock=lambda: self.now)
        sweeper = Sweeper(store, self.keys, owners, registry.removals)
        self.replicas.append(Replica(name, owners, registry, sweeper, self.now))

    def _enter(self, replica: Replica) -> None:
        dice = self.dice
        row = SessionRow(
            id=f"{dice.getrandbits(64):016x}",
            replica=replica.name,
            agent="default",
            call_type="chat",
            subject=f"u{dice.randrange(2)}",
            address=f"a{dice.randrange(2)}",
            started_at=self.now,
            tenant=dice.choice([None, "acme"]),
        )
        self._begin(replica, Task("enter", replica.registry.enter(row, CAPS), row))

    def _leave(self, replica: Replica) -> None:
        if replica.admitted:
            row = replica.admitted.pop(self.dice.choice(sorted(replica.admitted)))
            self._begin(replica, Task("leave", replica.registry.leave(row), row))

    def _begin_beat(self, replica: Replica) -> Task | None:
        if any(task.kind == "beat" for task in replica.tasks):
            return None
        task = Task("beat", replica.beat())
        self._begin(replica, task)
        return task

    def _begin(self, replica: Replica, task: Task) -> None:
        replica.tasks.append(task)
        self._resume(replica, task, None)

    def _advance(self, replica: Replica, task: Task) -> None:
        """Carry out what a task waits for, or let something go wrong with it."""
        assert task.step is not None
        command = task.step.command
        fault = self.dice.random() if self.faults else 1.0
        if fault < 0.02:
            self._crash(replica, command if self.dice.random() < 0.5 else None)
        elif fault < 0.06:
            self.counts["lost"] += 1
            what = self.dice.randrange(3)
            if what == 1:
                self.wire.carry_out(command)
            elif what == 2:
                self.late.append((self.now, command))
            self._resume(replica, task, StoreUnavailable("lost"))
        else:
            answer = self.wire.carry_out(command)
            if isinstance(command, ScriptCall) and command.script is BEAT_OWNER:
                replica.beaten = self.now
            self._resume(replica, task, answer)

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
            self.wire.carry_out(last)
        for task in replica.tasks:
            task.coroutine.close()
        self.replicas.remove(replica)

    def _pass_time(self, seconds: float) -> None:
        """Let time pass; who has not beaten for long beats first, and late commands come."""
        faults, self.faults = self.faults, False
        for replica in self.replicas:
            if self.now + seconds - replica.beaten > OLDEST_BEAT:
                self._beat_now(replica)
        self.faults = faults
        self.now += seconds
        self._set_time()
        due = [command for at, command in self.late if self.now - at > LATE]
        self.late = [(at, command) for at, command in self.late if self.now - at <= LATE]
        for command in due:
            self.wire.carry_out(command)

    def _beat_now(self, replica: Replica) -> None:
        while any(task.kind == "beat" for task in replica.tasks):
            self._advance(replica, next(t for t in replica.tasks if t.kind == "beat"))
        task = self._begin_beat(replica)
        while task in replica.tasks:
            assert task is not None
            self._advance(replica, task)

    def _set_time(self) -> None:
        self.wire.ask("SET", "now", f"{self.now:.3f}")

    def _check_caps(self) -> None:
        live = [row for replica in self.replicas for row in replica.admitted.values()]
        subjects = Counter(row.subject_scope for row in live)
        addresses = Counter(row.address for row in live)
        assert max(subjects.values(), default=0) <= CAPS.per_subject, subjects
        assert max(addresses.values(), default=0) <= CAPS.per_address, addresses

    def _finish(self) -> None:
        """End some replicas in order and crash the others; nothing may be left after the lease."""
        self.faults = False
        for replica in list(self.replicas):
            for task in list(replica.tasks):
                while task in replica.tasks:
                    self._advance(replica, task)
            if self.dice.random() < 0.4:
                self._crash(replica, None)
        self._check_caps()
        for _ in range(2):
            self._pass_time(LATE + 1)
        for replica in self.replicas:
            while replica.admitted:
                self._leave(replica)
            while replica.tasks:
                self._advance(replica, replica.tasks[0])
            self._beat_now(replica)
        self._start()
        sweeping = self.replicas[-1]
        # After a silence of all replicas nobody is taken for dead for one more lease.
        self._beat_now(sweeping)
        until = float(self.wire.ask("GET", self.keys.owners("guard")) or 0) / 1000
        for _ in range(round(LEASE + max(0.0, until - self.now))):
            self._beat_now(sweeping)
            self._pass_time(1.0)
        names = self.wire.ask("KEYS", "*")
        left = [name for name in names if b"gone:" not in name and b"owners:" not in name]
        assert left == [b"now"], left
