"""Calls by REST (D): `GET /calls/{id}` of conversations, and scheduling and cancelling others.

A scheduled call is kept and cancelled, but never made: this fake makes no calls by itself.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

from app.emulator.http import Answer, Request, problem

if TYPE_CHECKING:
    from app.emulator.call_log import CallLog, Record

KEPT: Final = 1_000
MAX_BULK: Final = 100
INSPECTOR: Final = "https://inspector.example.com/calls/"


class Calls:
    """Answers `/api/v1/calls` and what is below it, for holders of the key."""

    def __init__(self, call_log: CallLog) -> None:
        self._call_log = call_log
        self._scheduled: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def answer(self, request: Request, rest: str) -> Answer:
        """Answer a request; `rest` is its path below `/calls`."""
        match request.method, rest:
            case "POST", "":
                return self._schedule(request.query.get("agentId", ""), request.json())
            case "POST", "bulk":
                return self._bulk(request)
            case "GET", call_id if call_id:
                return self._show(call_id)
            case "DELETE", call_id if call_id:
                return self._cancel(call_id)
        return problem(405, "Use POST, GET or DELETE")

    def _schedule(self, agent: str, body: dict[str, Any]) -> Answer:
        endpoint = body.get("endpoint")
        if not agent or not isinstance(endpoint, str) or not endpoint:
            return problem(400, "agentId and endpoint are required")
        if len(self._scheduled) >= KEPT:
            self._scheduled.popitem(last=False)
        call_id = str(uuid.uuid4())
        call = _view(call_id, agent, endpoint, "Created")
        self._scheduled[call_id] = call
        return Answer(201, call)

    def _bulk(self, request: Request) -> Answer:
        calls = request.json().get("calls")
        if not isinstance(calls, list) or len(calls) > MAX_BULK:
            return problem(400, f"calls is a list of at most {MAX_BULK}")
        agent = request.query.get("agentId", "")
        answers = [self._schedule(agent, c if isinstance(c, dict) else {}) for c in calls]
        return Answer(200, [answer.body for answer in answers])

    def _show(self, call_id: str) -> Answer:
        if call_id in self._scheduled:
            return Answer(200, self._scheduled[call_id])
        record = self._call_log.get(call_id)
        return problem(404, "No such call") if record is None else Answer(200, _of(record))

    def _cancel(self, call_id: str) -> Answer:
        call = self._scheduled.get(call_id)
        if call is None:
            return problem(404, "No such scheduled call")
        call["status"] = "Canceled"
        return Answer(204)


def _view(call_id: str, agent: str, endpoint: str | None, status: str) -> dict[str, Any]:
    return {
        "callId": call_id,
        "orgId": "emulated-organisation",
        "agentId": agent,
        "endpoint": endpoint,
        "status": status,
        "recordId": call_id,
        "completedTime": None,
        "inspectorUrl": INSPECTOR + call_id,
    }


def _of(record: Record) -> dict[str, Any]:
    status = "Running" if record.live else str((record.result or {}).get("status", "Failed"))
    told = _view(record.id, record.agent or "", None, status)
    if not record.live:
        told["completedTime"] = dt.datetime.now(dt.UTC).isoformat()
    return told
