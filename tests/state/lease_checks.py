"""What must hold of a random schedule in the end, when no command fails any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.state.failovers import caps_of
from tests.state.model_replica import CAPS, LEASE, Replica, Task

if TYPE_CHECKING:
    from tests.state.lease_model import Schedule


def check_left(it: Schedule) -> None:
    """Let a new replica sweep for a lease, and see what is left."""
    it.start()
    sweeping = it.replicas[-1]
    # After a silence of all replicas nobody is taken for dead for one more lease.
    it.beat_now(sweeping)
    until = float(it.store.carry_out(("GET", it.keys.owners("guard"))) or 0) / 1000
    left = _left(it)
    for _ in range(round(LEASE + max(0.0, until - it.now))):
        if not left and not it.late:
            break  # only commands that come late could bring something back
        it.beat_now(sweeping)
        it.pass_time(1.0)
        left = _left(it)
    if left and it.counts["failovers"] and it.counts["crashed"]:
        it.counts["left by both"] += 1
        _check_free(it, sweeping)
    else:
        assert not left, left


def _left(it: Schedule) -> list[bytes]:
    return [n for n in it.store.names() if b"gone:" not in n and b"owners:" not in n]


def check_registered(it: Schedule, replica: Replica) -> None:
    """The store has of a living replica's sessions everything, and nothing of others."""
    owner, rows = replica.owners.me, replica.admitted
    noted = it.store.carry_out(("HKEYS", it.keys.held(owner)))
    assert sorted(noted) == sorted(each.encode() for each in rows), "notes"
    for cap in caps_of(it.keys):
        name = it.keys.cap_members(cap, owner)
        held = it.store.members(name)
        mine = [
            each.id.encode()
            for each in rows.values()
            if cap in {it.keys.subject_cap(each.subject_scope), it.keys.address_cap(each.address)}
        ]
        assert sorted(held) == sorted(mine), (name, held, mine)
    for each in rows:
        assert it.store.carry_out(("EXISTS", it.keys.row(each))), "row"


def _check_free(it: Schedule, replica: Replica) -> None:
    """What a crash and a failover together have left keeps nobody out beyond a lease."""
    for number in range(2):
        for _ in range(CAPS.per_subject):
            _admit(it, replica, f"u{number}", f"free{number}")
        for other in range(CAPS.per_address):
            _admit(it, replica, f"free{number}{other}", f"a{number}")


def _admit(it: Schedule, replica: Replica, subject: str, address: str) -> None:
    for _ in range(2):
        row = it.row(replica, subject, address)
        it.begin(replica, Task("enter", replica.registry.enter(row, CAPS), row))
        while replica.tasks:
            it.advance(replica, replica.tasks[0])
        if row.id in replica.admitted:
            return
        for _ in range(round(LEASE / 2) + 1):
            it.beat_now(replica)
            it.pass_time(2.0)
    raise AssertionError((subject, address))
