"""What is promised where a store or a disk is slow, full, read-only, gone or back, is held.

Each promise names the tests that prove it; a test that fails or is skipped breaks its promise.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Final

from tests.proof import tested
from tests.proof.report import Bound, Proof, Result

AT_ONCE: Final = 3  # promises
HISTORY: Final = "tests/history/test_outages.py"
STATE: Final = "tests/state/test_outage.py"
POSTGRES: Final = "tests/stores/test_postgres_failover.py"
REDIS: Final = "tests/stores/test_redis_failover.py"
PROMISES: Final[dict[str, tuple[str, ...]]] = {
    "Redis slow: every call fails within its deadline, for one caller as for a crowd": (
        f"{STATE}::test_every_call_fails_soon_and_as_state_lost",
        f"{STATE}::test_a_crowd_fails_as_soon_as_one",
    ),
    "Redis gone: authentication fails closed, no ticket is given twice, none is used up": (
        f"{STATE}::test_absent_redis_is_state_lost",
        f"{STATE}::test_ticket_asked_for_during_an_outage_is_redeemed_once_after_it",
    ),
    "Redis stopped, killed, restarted under load: live sessions go on, refusals are soon": (
        "tests/replicas/test_redis_outages.py::test_outages_of_redis_cost_no_live_session_and_heal",
    ),
    "Redis back: sessions, caps and messages between replicas are as before": (
        f"{STATE}::test_live_sessions_and_caps_come_back_after_a_restart",
        f"{STATE}::test_inbox_survives_an_outage",
    ),
    "Redis read-only or failed over: noticed, left, and healed": (
        f"{REDIS}::test_demoted_primary_is_noticed_left_and_healed",
        f"{REDIS}::test_replica_as_the_only_store_is_never_ready",
    ),
    "The clock of Redis went back: messages between replicas are read on": (
        f"{STATE}::test_inbox_reads_on_when_the_clock_of_redis_went_back",
    ),
    "PostgreSQL slow or gone: conversations go on, each record is kept or counted as lost": (
        f"{HISTORY}::test_a_frozen_database_loses_nothing_within_the_bound",
        f"{HISTORY}::test_a_database_that_is_killed_and_restarted_loses_what_is_counted",
        f"{HISTORY}::test_a_database_that_comes_late_gets_what_was_kept_for_it",
    ),
    "PostgreSQL read-only: left, and nothing is lost": (
        f"{POSTGRES}::test_primary_turned_read_only_is_left_and_nothing_is_lost",
    ),
    "Disk full: what is lost is counted": (
        f"{HISTORY}::test_a_full_disk_under_sqlite_loses_what_is_counted",
        f"{HISTORY}::test_a_full_disk_under_postgresql_loses_what_is_counted",
    ),
    "Descriptors used up: live sessions go on, new ones come in when some are free again": (
        "tests/e2e/test_descriptors.py::test_live_sessions_outlast_descriptors_that_run_out",
    ),
    "The gateway's clock goes forth and back by an hour: live sessions go on": (
        "tests/e2e/test_clock.py::test_a_clock_that_jumps_ends_no_live_session",
    ),
}


def run(bound: Bound, promises: dict[str, tuple[str, ...]] | None = None) -> Result:
    """Run each promise's tests, of some promises at once: they wait most of their time."""
    result = Result(least=("promises held",))
    chosen = list((PROMISES if promises is None else promises).items())[: bound.count]

    def held(promise: str, tests: tuple[str, ...]) -> Result:
        part = Result()
        if bound.over():
            part.notes.append(f"not run, for want of time: {promise}")
            return part
        tested.run(tests, max(30.0, bound.left), part, bound)
        if bound.stopped.is_set():
            return part
        good = not part.lost and not part.unfinished
        part.add("promises held", good)
        part.notes.append(f"{'held' if good else 'not held'}: {promise}")
        return part

    with ThreadPoolExecutor(AT_ONCE) as threads:
        for part in threads.map(held, *zip(*chosen, strict=True)):
            result.merge(part)
    return result


PROOF: Final = Proof(
    "stores",
    "of stores that are slow, full, read-only, gone and back, of a full disk, a jumping clock and "
    "used-up descriptors, what is promised in each case is held",
    count=100,
    seconds=240,
    unit="promises",
    run=run,
    adds_up=False,
)
