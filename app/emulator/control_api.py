"""The control API for tests, `/emulator/…`: what reached the vendor, and fault injection.

GET    /emulator                       agents, faults, counters, the switch
GET    /emulator/conversations         all that are kept; `marker`, `agent`, `state` filter,
                                       `faulty` leaves those with violations;
                                       `ended=N` and `count=N` wait up to `timeout` s, else 408
GET    /emulator/conversations/{id}    one of them
DELETE /emulator/conversations         forget them and the counters
GET    /emulator/faults                what is switched on
POST   /emulator/faults                {"next": name, "count": n | null, …settings}
DELETE /emulator/faults                switch it off
GET    /emulator/discover              what was set about `discover`, and how often it was asked
POST   /emulator/discover              members of its answer, or {"status": n}, or {"raw": JSON}
DELETE /emulator/discover              answer as usual
POST   /emulator/concurrency           {"limit": n | null, "elsewhere": n}: who else is there
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from app.emulator.faults import FAULTS, FaultSpec
from app.emulator.http import Answer, Request, problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.emulator.call_log import CallLog, Record
    from app.emulator.concurrency import Concurrency
    from app.emulator.integration import Integration

PREFIX: Final = "/emulator"
LONGEST_WAIT: Final = 60.0


class FaultSwitch:
    """Which fault strikes the next dials, if any."""

    def __init__(self, order: FaultSpec | None = None) -> None:
        self.order = order

    def take(self) -> FaultSpec | None:
        """Take the fault for a dial that has just come."""
        order = self.order
        if order is not None and order.count is not None:
            order.count -= 1
            if order.count <= 0:
                self.order = None
        return order


class ControlApi:
    """Answers the routes of this module's docstring."""

    def __init__(
        self,
        call_log: CallLog,
        switch: FaultSwitch,
        concurrency: Concurrency,
        agents: Mapping[str, str],
        integration: Integration,
    ) -> None:
        self._integration = integration
        self._call_log = call_log
        self._switch = switch
        self._concurrency = concurrency
        self._agents = agents

    async def answer(self, request: Request) -> Answer | None:
        """Answer a request; `None` if the route is not behind this door."""
        match request.method, request.path.removeprefix(PREFIX).strip("/").split("/"):
            case "GET", [""]:
                return Answer(200, self._overview())
            case _, ["faults"]:
                return self._faults(request)
            case _, ["discover"]:
                return self._discover(request)
            case "POST", ["concurrency"]:
                return self._set_concurrency(request.json())
            case "GET", ["conversations"]:
                return await self._conversations(request.query)
            case "DELETE", ["conversations"]:
                self._call_log.clear()
                return Answer(204)
            case "GET", ["conversations", record_id]:
                record = self._call_log.get(record_id)
                return Answer(200, record.view()) if record else problem(404, "No such one")
        return None

    def _discover(self, request: Request) -> Answer | None:
        if request.method not in ("GET", "POST", "DELETE"):
            return None
        if request.method != "GET":
            self._integration.set(request.json())
        return Answer(200, self._integration.view())

    def _faults(self, request: Request) -> Answer | None:
        match request.method:
            case "GET":
                return Answer(200, self._order())
            case "POST":
                return self._set(request.json())
            case "DELETE":
                self._switch.order = None
                return Answer(204)
        return None

    def _set_concurrency(self, body: dict[str, Any]) -> Answer:
        limit, elsewhere = body.get("limit"), body.get("elsewhere", 0)
        if not (limit is None or type(limit) is int) or type(elsewhere) is not int:
            return problem(400, "limit is a number or null, elsewhere a number")
        self._concurrency.limit, self._concurrency.elsewhere = limit, elsewhere
        return Answer(200, self._concurrency.view())

    def _overview(self) -> dict[str, Any]:
        return {
            "agents": dict(self._agents),
            "faults": {fault.name: fault.meaning for fault in FAULTS.values()},
            "switch": self._order(),
            "counters": dict(self._call_log.counters),
        }

    async def _conversations(self, query: dict[str, str]) -> Answer:
        def chosen() -> list[Record]:
            return [record for record in self._call_log.records if _matches(record, query)]

        try:
            ended, count = int(query.get("ended", 0)), int(query.get("count", 0))
            timeout = min(float(query.get("timeout", 10)), LONGEST_WAIT)
        except ValueError:
            return problem(400, "ended, count and timeout are numbers")

        def holds(_: CallLog) -> bool:
            records = chosen()
            return len(records) >= count and sum(not r.live for r in records) >= ended

        status = 200
        try:
            await self._call_log.until(holds, timeout)
        except TimeoutError:
            status = 408
        view = {
            "conversations": [record.view() for record in chosen()],
            "counters": dict(self._call_log.counters),
        }
        return Answer(status, view)

    def _order(self) -> dict[str, Any]:
        order = self._switch.order
        if order is None:
            return {"next": None, "count": 0}
        return {"next": order.name, "count": order.count, **order.params}

    def _set(self, body: dict[str, Any]) -> Answer:
        name, count = body.pop("next", None), body.pop("count", 1)
        if name not in FAULTS:
            return problem(400, f"next is one of: {', '.join(FAULTS)}")
        if count is not None and (type(count) is not int or count < 1):
            return problem(400, "count is a positive integer, or null for every dial")
        self._switch.order = FaultSpec(name, count, body)
        return Answer(200, self._order())


def _matches(record: Record, query: dict[str, str]) -> bool:
    wanted = {"marker": record.marker, "agent": record.agent, "state": record.state}
    if "faulty" in query and not record.violations:
        return False
    return all(query[name] == value for name, value in wanted.items() if name in query)
