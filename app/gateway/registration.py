"""Entering and leaving the shared registry of sessions, with what bounds and notes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from app.backoff import reconnect_after, retry_later
from app.protocol.close_codes import OVERLOADED, TOO_MANY, UNAUTHENTICATED
from app.protocol.errors import Refusal, StoreUnavailable
from app.state.interface import Caps

if TYPE_CHECKING:
    from app.gateway.accounting import SessionAccounting
    from app.gateway.admission import GatewayLimits
    from app.gateway.place import Place
    from app.gateway.places import UpstreamPlaces
    from app.state.interface import SessionRow, State

log = structlog.get_logger(__name__)


class Registration:
    """Registers sessions in the shared store, in this order: tenant, registry, upstream place.

    `places` and `accounting` may be None: then neither upstream sessions nor tenants are bounded.
    """

    def __init__(
        self,
        state: State,
        limits: GatewayLimits,
        places: UpstreamPlaces | None,
        accounting: SessionAccounting | None,
    ) -> None:
        self._state = state
        self._caps = Caps(limits.per_subject, limits.per_address)
        self._places = places
        self._accounting = accounting

    async def enter(self, row: SessionRow, turn: str | None) -> Place | None:
        """Register a session; return its upstream session or its position in the queue for one.

        None where the number of upstream sessions is not bounded. Raises `Refusal`; then nothing
        is left of the session.
        """
        await self._enter(row)
        return await self._take_place(row, turn)

    async def _take_place(self, row: SessionRow, turn: str | None) -> Place | None:
        """Take an upstream session or a position in the queue, where their number is bounded."""
        if self._places is None:
            return None
        place = None
        try:
            place = await self._places.enter(row.id, turn)
        except StoreUnavailable:
            raise Refusal(OVERLOADED, retry_after=reconnect_after()) from None
        finally:
            if place is None:
                await self.withdraw(row)
        if place is None:
            raise Refusal(OVERLOADED, retry_after=retry_later())
        return place

    async def _enter(self, row: SessionRow) -> None:
        if self._accounting is None:
            await self._register(row)
            return
        await self._accounting.tenants.enter(row)
        try:
            await self._register(row)
        except BaseException:
            await self._accounting.tenants.withdraw(row)
            raise

    async def withdraw(self, row: SessionRow) -> None:
        """Forget a session that never began."""
        await self._leave_registry(row)
        if self._accounting is not None:
            await self._accounting.tenants.withdraw(row)

    async def _register(self, row: SessionRow) -> None:
        try:
            refused = await self._state.enter(row, self._caps)
        except StoreUnavailable:
            raise Refusal(OVERLOADED, retry_after=reconnect_after()) from None
        if refused == "revoked":
            raise Refusal(UNAUTHENTICATED, "The credential was revoked.")
        if refused is not None:
            raise Refusal(TOO_MANY, "Too many conversations at once.", retry_after=retry_later())

    async def begin(self, row: SessionRow) -> None:
        """Note that a registered session is about to begin."""
        if self._accounting is not None:
            await self._accounting.begin(row)

    async def leave(self, last: SessionRow, *, has_begun: bool) -> None:
        """Forget a session that has ended; `has_begun` is whether history knows of it."""
        await self._leave_registry(last)
        if self._accounting is not None:
            await self._accounting.finish(last, has_begun=has_begun)

    async def publish(self, row: SessionRow) -> None:
        """Publish a row that has changed at once, without waiting for the next refresh."""
        try:
            await self._state.refresh([row])
        except StoreUnavailable:
            log.info("row_notpublished", session=row.id, advice="the next refresh does it")

    async def _leave_registry(self, row: SessionRow) -> None:
        try:
            await self._state.leave(row)
        except StoreUnavailable:
            log.warning("session_not_forgotten", session=row.id, advice="its lease runs out")
