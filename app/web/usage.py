"""`GET /v1/usage`: who has used how much, for bills and for finding out."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from datetime import UTC, datetime
from time import time
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from app.history.errors import HistoryUnavailable
from app.protocol.principal import CallType
from app.protocol.tenant import Tenant
from app.web.problems import Problem
from app.web.tenancy import chosen_tenant

if TYPE_CHECKING:  # where history is off, the database layer is not imported
    from app.history.usage import Usage, UsageReader

OFF: Final = "Usage is counted from history: set RELAY_HISTORY_URL."
LOST: Final = "The history store does not answer."
TOO_MUCH: Final = "Too many rows: choose a shorter time between from and to, or another group."
NO_TIME: Final = "is neither a time in ISO 8601, such as 2026-11-01, nor one in Unix seconds"
PERIOD: Final = 30 * 86_400.0
LATEST: Final = 253_402_300_799.0  # the end of the year 9999
GROUPS: Final = "^(tenant|agent|subject|day)$"
RISKY: Final = ("=", "+", "-", "@", "\t", "\r")
"""With these a spreadsheet takes a cell for a formula (OWASP, "CSV Injection")."""

CALL_TYPES: Final = tuple(kind.value for kind in CallType)


def routes(
    reader: UsageReader | None, prices: Mapping[str, float], tenants: Mapping[str, Tenant]
) -> APIRouter:
    """`GET /v1/usage`; `prices` are those of a minute by call type, where a tenant has none."""
    router = APIRouter(tags=["usage"])

    @router.get(
        "/v1/usage",
        responses={200: {"content": {"text/csv": {}}}, 501: {"description": "History is off."}},
    )
    async def usage(
        request: Request,
        since: Annotated[str | None, Query(alias="from", max_length=40)] = None,
        until: Annotated[str | None, Query(alias="to", max_length=40)] = None,
        group: Annotated[str, Query(pattern=GROUPS)] = "tenant",
        tenant: Annotated[str | None, Query(max_length=64)] = None,
    ) -> Response:
        """Sum up the conversations that began in [from, to), by default the last 30 days.

        Times are in ISO 8601 (UTC where they name no zone) or Unix seconds. `Accept: text/csv`
        answers as CSV.
        """
        if reader is None:
            return Problem(501, "history_off", OFF)
        try:
            end = time() if until is None else _moment("to", until)
            begin = end - PERIOD if since is None else _moment("from", since)
        except ValueError as fault:
            return Problem(422, "invalid", str(fault))
        owner = chosen_tenant(request, tenant)
        try:
            found = await _summed(reader, begin, end, group, owner)
        except HistoryUnavailable:
            return Problem(503, "history_lost", LOST, {"retry-after": "5"})
        except ValueError:
            return Problem(422, "too_many_rows", TOO_MUCH)
        rows = merged(found, group, prices, tenants)
        headers = {"cache-control": "no-store"}
        if _wants_csv(request.headers.get("accept", "")):
            return Response(as_csv(rows, group), media_type="text/csv", headers=headers)
        return JSONResponse(
            {"from": _iso(begin), "to": _iso(end), "group": group, "rows": rows}, headers=headers
        )

    return router


async def _summed(
    reader: UsageReader, since: float, until: float, group: str, tenant: str | None
) -> list[Usage]:
    from app.history.usage import Group  # noqa: PLC0415 - loads the database layer

    return await reader.usage(since, until, Group(group), tenant)


def merged(
    found: list[Usage],
    group: str,
    prices: Mapping[str, float],
    tenants: Mapping[str, Tenant],
) -> list[dict[str, Any]]:
    """One row for each group, with its minutes by call type; `cost` where prices are set."""
    priced = bool(prices) or any(tenant.prices for tenant in tenants.values())
    rows: dict[tuple[str | None, str | None], dict[str, Any]] = {}
    for each in found:
        owner = each.tenant if group in ("agent", "subject") else None
        row = rows.setdefault((each.key, owner), _blank(each, group, priced=priced))
        row["sessions"] += each.sessions
        row["minutes"].setdefault(each.call_type, 0.0)
        row["minutes"][each.call_type] += each.seconds / 60
        row["messages"] += each.messages
        row["tool_calls"] += each.tool_calls
        row["failures"] += each.failures
        if priced:
            tenant = tenants.get(each.tenant or "")
            known = {**prices, **({} if tenant is None else tenant.prices)}
            row["cost"] += each.seconds / 60 * known.get(each.call_type, 0.0)
    for row in rows.values():
        row["minutes"] = {kind: round(minutes, 4) for kind, minutes in row["minutes"].items()}
        if priced:
            row["cost"] = round(row["cost"], 6)
    return list(rows.values())


def _blank(each: Usage, group: str, *, priced: bool) -> dict[str, Any]:
    row: dict[str, Any] = {group: each.key}
    if group in ("agent", "subject"):
        row["tenant"] = each.tenant
    row |= {
        "sessions": 0,
        "minutes": dict.fromkeys(CALL_TYPES, 0.0),
        "messages": 0,
        "tool_calls": 0,
        "failures": 0,
    }
    return row | ({"cost": 0.0} if priced else {})


def as_csv(rows: list[dict[str, Any]], group: str) -> str:
    """The rows as CSV (RFC 4180); no cell is a formula."""
    names = [group, *(["tenant"] if group in ("agent", "subject") else []), "sessions"]
    counts = ["messages", "tool_calls", "failures"]
    costs = ["cost"] if rows and "cost" in rows[0] else []
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*names, *(f"minutes_{kind}" for kind in CALL_TYPES), *counts, *costs])
    for row in rows:
        minutes = [row["minutes"][kind] for kind in CALL_TYPES]
        cells = [*(row[n] for n in names), *minutes, *(row[n] for n in (*counts, *costs))]
        writer.writerow([_cell(cell) for cell in cells])
    return text.getvalue()


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    return f"'{value}" if isinstance(value, str) and value.startswith(RISKY) else value


def _wants_csv(accept: str) -> bool:
    """Tell whether CSV is asked for, and JSON is not preferred by standing first."""
    kinds = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    known = [kind for kind in kinds if kind in ("text/csv", "application/json")]
    return known[:1] == ["text/csv"]


def _moment(name: str, text: str) -> float:
    """Read a time. Raises ValueError, fit to be shown."""
    try:
        at = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise ValueError(f"{name} {NO_TIME}") from None
        at = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if not 0 <= at <= LATEST:
        raise ValueError(f"{name} {NO_TIME}")
    return at


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
