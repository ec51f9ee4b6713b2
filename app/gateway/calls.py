"""Calls that backends started: what becomes of each, for every replica and for a day after."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

import orjson
import structlog

from app.protocol.call_record import CallRecord, CallStatus, ended, with_frame
from app.protocol.errors import StoreUnavailable
from app.telemetry.loss_log import LossLog
from blackbox_relay.exact_json import fitted

if TYPE_CHECKING:
    from app.relay.relay import Relay
    from app.state.records import Records

log = structlog.get_logger(__name__)

LIFE: Final = 24 * 3600.0
"""Seconds for which a call can be asked for after its last change."""

MAX_WAITING: Final = 10_000
RETRY: Final = 1.0
_KNOWN: Final = frozenset(each.name for each in fields(CallRecord))


class CallBook:
    """Follows the calls of this replica, and writes what changes to the shared store.

    `run` must be running. Beyond `MAX_WAITING` calls whose change waits for the store, the oldest
    changes are dropped and logged.
    """

    def __init__(self, records: Records) -> None:
        self._records = records
        self._waiting: dict[str, CallRecord] = {}
        self._changed = asyncio.Event()
        self._dropped = LossLog(log, "call_change_dropped", "changes", level=logging.WARNING)

    async def run(self) -> None:
        """Write changes until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self._write()

    async def created(self, record: CallRecord) -> None:
        """Make a call known to every replica; raises `StoreUnavailable`."""
        await self._records.put_call(record.session_id, _encode(record), LIFE)

    async def find(self, session_id: str) -> CallRecord | None:
        """What is known of a call; None for none. Raises `StoreUnavailable`."""
        waiting = self._waiting.get(session_id)
        if waiting is not None:
            return waiting
        payload = await self._records.find_call(session_id)
        return None if payload is None else _decode(payload)

    def follow(self, relay: Relay, record: CallRecord) -> None:
        """Follow a call's session from its first frame to its end."""
        known = record

        def heard(event: dict[str, Any]) -> None:
            nonlocal known
            before = known
            if event["kind"] == "frame" and event["direction"] == "from_upstream":
                known = with_frame(known, event["content"], event["at"])
            elif event["kind"] == "end":
                known = ended(known, event["at"], event["code"], event["reason"])
            if known is not before and known != before:
                self._put(known)

        relay.observer.subscribers.callbacks.add(heard)
        relay.update_observed()

    def update(self, record: CallRecord) -> None:
        """Keep what was learnt of a call that is over."""
        self._put(record)

    def _put(self, record: CallRecord) -> None:
        if len(self._waiting) >= MAX_WAITING and record.session_id not in self._waiting:
            del self._waiting[next(iter(self._waiting))]
            self._dropped.lost(advice="check RELAY_STATE_URL")
        self._waiting[record.session_id] = record
        self._changed.set()

    async def _write(self) -> None:
        for session_id, record in tuple(self._waiting.items()):
            try:
                await self._records.put_call(session_id, _encode(record), LIFE)
            except StoreUnavailable:
                await asyncio.sleep(RETRY)
                self._changed.set()
                return
            if self._waiting.get(session_id) is record:
                del self._waiting[session_id]


def _encode(record: CallRecord) -> bytes:
    return fitted(orjson.dumps(record))


def _decode(payload: bytes) -> CallRecord:
    """Read a record; members that a newer replica added are skipped."""
    document = orjson.loads(payload)
    found = {name: value for name, value in document.items() if name in _KNOWN}
    return CallRecord(**(found | {"status": CallStatus(found["status"])}))
