"""What PostgreSQL really did for a query of ours: the plans that its `auto_explain` writes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import text as sql

from app.history.migrate import migrate
from app.history.partitioned import DAY, PARTITIONED
from app.history.partitions import Partitions
from tests.history.feed import NOW

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator, Sequence

    from app.history.database import Database
    from tests.support.postgres import Postgres

AUTO_EXPLAIN = {
    "session_preload_libraries": "auto_explain",
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_analyze": "on",
    "auto_explain.log_buffers": "on",
    "auto_explain.log_timing": "off",
    "auto_explain.log_format": "json",
    "auto_explain.log_nested_statements": "off",
}
DAYS = 30
TENANTS, AGENTS, SUBJECTS = 20, 50, 2_000
TURNS, EVENTS = 6, 2
"""Rows of each conversation; with itself and a tool call it has ten."""

ROWS = 1 + TURNS + EVENTS + 1

AT = "{since} + n * {step}"
"""When the n-th conversation began."""

EACH = "generate_series(0, {count} - 1) n"
SOME = "generate_series(0, {count} - 1, 10) n"
STATE = "CASE WHEN n % 100 = 1 THEN 'waiting' ELSE 'delivered' END"
KIND = "CASE WHEN n % 5000 = 7 THEN 'onPhone' ELSE 'chat' END"

MADE = (
    f"""
    INSERT INTO conversations (id, agent, call_type, subject, started_at, ended_at, close_code,
    close_name, lost, tenant, replica) SELECT 'c' || n, 'agent-' || n % {{agents}}, {KIND},
    'subject-' || n % {{subjects}}, {AT}, {AT} + 60, 1000, 'ended', 0,
    'tenant-' || n % {{tenants}}, 'replica-' || n % 3 FROM {EACH}
    """,  # noqa: S608
    f"""
    INSERT INTO partitioned_turns SELECT 'c' || n, k, 'user', 'What was said in turn ' || k, 1,
    {AT}, {AT} + k, '', false, {AT} FROM {EACH}, generate_series(0, {{turns}} - 1) k
    """,  # noqa: S608
    f"""
    INSERT INTO partitioned_events SELECT 'c' || n, k, {AT}, 'from_upstream', 'event',
    'connection', 'null', {AT} FROM {EACH}, generate_series(0, {{events}} - 1) k
    """,  # noqa: S608
    f"""
    INSERT INTO partitioned_tool_calls SELECT 'c' || n, 0, 'call', 'look', 'ok', {AT}, 0.1,
    'null', 'null', NULL, NULL, NULL, {AT} FROM {EACH}
    """,  # noqa: S608
    f"""
    INSERT INTO outbox SELECT 'result-' || n, 'c' || n, {STATE}, NULL, false, {AT}, {AT} + 1e6,
    {AT}, 1, NULL FROM {SOME}
    """,  # noqa: S608
    f"""
    INSERT INTO deliveries SELECT 'event-' || n, 'crm', 'c' || n, 1, 'session.ended', 'agent',
    'tenant-' || n % {{tenants}}, {STATE}, '', false, {AT}, {AT} + 1e9, {AT}, 1, NULL, NULL,
    NULL FROM {SOME}
    """,  # noqa: S608
    "ANALYZE",
)
LARGE = ("conversations", "turns", "events", "tool_calls", "results", "outbox", "deliveries")


async def fill(database: Database, conversations: int) -> None:
    """Make so many conversations, spread over `DAYS` days until `NOW`, and what belongs to them."""
    await migrate(database)
    await Partitions(database).cover(NOW - day * DAY for day in range(DAYS + 1))
    values: dict[str, Any] = {
        "agents": AGENTS,
        "subjects": SUBJECTS,
        "tenants": TENANTS,
        "turns": TURNS,
    }
    values |= {"events": EVENTS, "count": conversations, "since": f"{NOW - DAYS * DAY:.1f}"}
    values |= {"step": repr(DAYS * DAY / conversations)}
    for statement in MADE:
        whole = statement.format(**values)
        await database.run(lambda c, it=whole: c.execute(sql(it)), write=True, deadline=3000)  # type: ignore[misc]


@dataclass
class Plan:
    """One statement's plan, as executed."""

    text: str
    nodes: list[dict[str, Any]] = field(repr=False)

    @property
    def rows(self) -> float:
        """How many rows its scans read, those that were filtered out included."""
        read = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck")
        read_in_all: float = sum(
            node["Actual Loops"] * sum(node.get(name, 0) for name in read)
            for node in self.nodes
            if node["Node Type"].endswith("Scan") and _is_large(node.get("Relation Name", ""))
        )
        return read_in_all

    @property
    def whole_tables(self) -> list[str]:
        """Large tables of which all rows were read."""
        return [
            node["Relation Name"]
            for node in self.nodes
            if node["Node Type"] == "Seq Scan"
            and node["Actual Loops"]
            and _is_large(node["Relation Name"])
            and node["Actual Rows"] + node.get("Rows Removed by Filter", 0) > 0
        ]

    @property
    def tables(self) -> set[str]:
        """Tables that were looked into."""
        return {n["Relation Name"] for n in self.nodes if "Relation Name" in n}


def _is_large(table: str) -> bool:
    """Whether it is one of ours that grows, or a partition of one."""
    return table.removeprefix("partitioned_").startswith(LARGE) and not table.endswith("_default")


async def plans_of(server: Postgres, work: Awaitable[object]) -> list[Plan]:
    """Do the work, and return the plans of all its statements."""
    known = len(server.log())
    await work
    return list(_plans(server.log()[known:]))


def _plans(log: str) -> Iterator[Plan]:
    for block in log.split("  plan:\n")[1:]:
        lines = []
        for line in block.splitlines():
            if not line.startswith("\t"):
                break
            lines.append(line[1:])
        found = json.loads("\n".join(lines))
        yield Plan(found["Query Text"], list(_nodes(found["Plan"])))


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    inner: Sequence[dict[str, Any]] = node.get("Plans", ())
    for each in inner:
        yield from _nodes(each)


assert {f"partitioned_{name}" for name in LARGE} >= {t.name for t in PARTITIONED.values()}
