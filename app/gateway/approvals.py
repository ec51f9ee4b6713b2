"""The calls that wait for an operator, listed for every replica."""

from __future__ import annotations

import asyncio
import hashlib
from time import time
from typing import TYPE_CHECKING, Final

import structlog

from app.protocol.approval import ApprovalRequest, request_from_json
from app.protocol.errors import StoreUnavailable
from blackbox_relay import exact_json

if TYPE_CHECKING:
    from app.state.records import Records

log = structlog.get_logger(__name__)

RETRY: Final = 0.5
MOST: Final = 500
"""Calls that are listed, at the most."""


class ApprovalBoard:
    """Lists this replica's waiting calls, and writes them to the shared store.

    `run` must be running. While the store is away, other replicas do not see new calls; this one
    does, and nothing here delays a decision.
    """

    def __init__(self, records: Records) -> None:
        self._records = records
        self._here: dict[str, ApprovalRequest] = {}
        self._changed: dict[str, None] = {}
        self._news = asyncio.Event()

    def asked(self, request: ApprovalRequest) -> None:
        """List a call."""
        key = _key(request)
        self._here[key] = request
        self._changed[key] = None
        self._news.set()

    def settled(self, request: ApprovalRequest) -> None:
        """List it no more."""
        key = _key(request)
        self._here.pop(key, None)
        self._changed[key] = None
        self._news.set()

    async def listed(self) -> list[ApprovalRequest]:
        """The calls that wait on any replica, the oldest first. Raises `StoreUnavailable`."""
        found = dict(self._here)
        for payload in await self._records.approvals(MOST):
            request = _read(payload)
            if request is None or request.deadline <= time():
                continue
            key = _key(request)
            if key not in self._changed:  # what is written of it is old otherwise
                found.setdefault(key, request)
        return sorted(found.values(), key=lambda request: (request.asked_at, request.id))[:MOST]

    async def run(self) -> None:
        """Write changes until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                await self._write()
            except StoreUnavailable:
                log.warning("approvals_unpublished", calls=len(self._changed))
                self._news.set()
                await asyncio.sleep(RETRY)

    async def _write(self) -> None:
        while self._changed:
            key = next(iter(self._changed))
            request = self._here.get(key)
            if request is None:
                await self._records.delete_approval(key)
            elif (left := request.deadline - time()) > 0:
                payload = exact_json.dumps(request.to_json())
                await self._records.put_approval(key, payload, left)
            if self._here.get(key) is request:
                self._changed.pop(key, None)


def _key(request: ApprovalRequest) -> str:
    return hashlib.sha256(f"{request.session_id}\0{request.id}".encode()).hexdigest()[:32]


def _read(payload: bytes) -> ApprovalRequest | None:
    try:
        return request_from_json(exact_json.loads_all(payload))
    except ValueError:
        return None
