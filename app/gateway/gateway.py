"""The live conversations of one process: admit, start, resume, list, end.

A relay's task belongs to the gateway's TaskGroup, not to the browser's request: a browser's socket
may come and go while its conversation lives.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from app.backoff import reconnect_after
from app.gateway.admission import Reservation, new_conversation, reachable, session_row
from app.gateway.draining import Draining
from app.gateway.live_sessions import LiveSessions
from app.gateway.page_access import may_join, page_by_proof
from app.gateway.registration import Registration
from app.gateway.steps import in_steps
from app.gateway.upkeep import SESSIONS_PER_STEP, Upkeep
from app.protocol.close_codes import (
    DRAINING,
    ENDED,
    OVERLOADED,
    TOO_MANY,
    CloseReason,
)
from app.protocol.control import HandBack, TakeOver
from app.protocol.errors import Refusal
from app.relay.relay import Relay

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from app.gateway.accounting import SessionAccounting
    from app.gateway.admission import AdmissionRequest, GatewayLimits
    from app.gateway.places import UpstreamPlaces
    from app.protocol.control import Answer, Command
    from app.protocol.initialize import Profile
    from app.protocol.principal import Principal
    from app.relay.dependencies import RelayDependencies, RelayLimits
    from app.relay.page import Page, PageRequest
    from app.state.interface import SessionRow, State
    from app.telemetry.metrics import Metrics
    from app.websocket.interface import Socket

log = structlog.get_logger(__name__)


class Gateway:
    """The live conversations of this replica. `dependencies` are those of each agent's.

    `places` bounds upstream sessions over all replicas; None: nothing does. `accounting` notes
    what tenants use.
    """

    def __init__(
        self,
        replica: str,
        state: State,
        dependencies: Mapping[str, RelayDependencies],
        metrics: Metrics,
        limits: GatewayLimits,
        relay_limits: RelayLimits,
        places: UpstreamPlaces | None = None,
        accounting: SessionAccounting | None = None,
    ) -> None:
        self.replica = replica
        self._dependencies = dependencies
        self._metrics = metrics
        self._limits = limits
        self._relay_limits = relay_limits
        self.places = places
        self._accounting = accounting
        self._registration = Registration(state, limits, places, accounting)
        self.live = LiveSessions()
        self._reserved: set[str] = set()
        self._tasks: asyncio.TaskGroup | None = None
        self._draining = Draining(self.live.relays, limits, relay_limits.end_grace, metrics)
        self._upkeep = Upkeep(state, self.live, metrics, self._account)

    def __repr__(self) -> str:
        draining = ", draining" if self.draining else ""
        sessions, reserved = len(self.live), len(self._reserved)
        return f"<Gateway {self.replica}: {sessions} live, {reserved} reserved{draining}>"

    async def run(self, started: asyncio.Event) -> None:
        """Own every relay until cancelled, and keep the shared store in the picture."""
        async with asyncio.TaskGroup() as self._tasks:
            self._tasks.create_task(self._upkeep.keep_leases(), name="gateway:leases")
            self._tasks.create_task(self._upkeep.watch_lag(), name="gateway:lag")
            if self.places is not None:
                self._tasks.create_task(self.places.run(), name="places")
            started.set()

    # Readiness

    @property
    def open_circuits(self) -> list[str]:
        """The agents for whom the vendor is not tried for now."""
        return [
            name
            for name, dependencies in self._dependencies.items()
            if dependencies.circuit.retry_in > 0
        ]

    @property
    def all_circuits_open(self) -> bool:
        """Whether the vendor is tried for no agent at all."""
        return len(self.open_circuits) == len(self._dependencies)

    @property
    def max_sessions(self) -> int:
        """How many sessions this replica takes."""
        return self._limits.max_sessions

    @property
    def is_full(self) -> bool:
        """Whether this replica has as many sessions as it may, those that come in included."""
        return len(self.live) + len(self._reserved) >= self._limits.max_sessions

    @property
    def draining(self) -> bool:
        """Whether this replica is on its way out."""
        return self._draining.began

    async def drain(self, closed: Callable[[], None]) -> None:
        """Let live sessions end, then end them; `closed` is called once none is taken any more."""
        await self._draining.run(closed)

    def expedite(self) -> None:
        """Shorten a drain that is under way: end what is left now."""
        self._draining.expedite()

    # Sessions

    async def admit(
        self, profile: Profile, principal: Principal, arrival: AdmissionRequest
    ) -> Reservation:
        """Reserve a slot for a browser. Raises `Refusal`, with when to come back."""
        if self._draining.closed or self._tasks is None:
            raise Refusal(OVERLOADED, DRAINING.message, retry_after=reconnect_after())
        if self.is_full:
            raise Refusal(OVERLOADED, retry_after=reconnect_after())
        profile = reachable(profile, principal, arrival.client_options, self._dependencies)
        dependencies = self._dependencies[profile.name]
        conversation = new_conversation(
            profile, principal, arrival, self._limits.initialize_timeout
        )
        row = session_row(conversation, self.replica, arrival)
        # Taken before the store is asked: others come in meanwhile.
        self._reserved.add(row.id)
        try:
            place = await self._registration.enter(row, arrival.turn)
        except BaseException:
            self._reserved.discard(row.id)
            raise
        return Reservation(replace(conversation, place=place), row, dependencies)

    async def release(self, admission: Reservation) -> None:
        """Release a reservation whose browser never connected."""
        self._reserved.discard(admission.row.id)
        admission.conversation.release_place()
        await self._registration.withdraw(admission.row)

    def start(self, admission: Reservation, socket: Socket | None) -> Relay:
        """Begin an admitted conversation on its browser's socket, or without one."""
        assert self._tasks is not None  # noqa: S101 - admit has looked
        relay = Relay(admission.conversation, admission.dependencies, self._relay_limits)
        self._reserved.discard(admission.row.id)
        self.live.add(relay, admission.row)
        self._draining.session_started()
        if socket is not None:
            relay.browser.attach(socket)
        self._tasks.create_task(self._run(relay, admission.row), name=f"relay:{admission.row.id}")
        return relay

    async def _run(self, relay: Relay, row: SessionRow) -> None:
        """Run one relay; what goes wrong in it is its own trouble alone."""
        try:
            await self._registration.begin(row)
            await relay.run()
        except Exception:
            log.exception("relay_crashed", session=row.id)
        finally:
            last = self.live.remove(row.id)
            relay.conversation.release_place()
            self._draining.session_ended()
            await self._registration.leave(last, has_begun=relay.observer.is_started)

    def is_stale_attempt(
        self, session_id: str, proof: str, received: int, attempt: int, *, direct: bool
    ) -> bool:
        """Tell whether a later attempt of this browser's to resume has come before this one.

        One that came `direct` is of a browser that lives: it is stale only where it asks for what
        is confirmed since, which would end the conversation.
        """
        page = self._page(session_id, proof)
        if page is None or not 0 < attempt < page.attempt:
            return False
        browser = page.browser
        return not browser.holds_after(received) or (browser.is_connected and not direct)

    def _page(self, session_id: str, proof: str) -> Relay | Page | None:
        relay = self.live.relays.get(session_id)
        return None if relay is None else page_by_proof(relay, proof)

    def refuses_join(self, session_id: str, request: PageRequest) -> bool | None:
        """Tell whether a page may not join; None if the session is not one of this replica's."""
        relay = self.live.relays.get(session_id)
        return None if relay is None else not may_join(relay, request)

    def join(self, session_id: str, request: PageRequest, socket: Socket) -> bool:
        """Let one more page into a chat; False if there is none that it may join."""
        if self.refuses_join(session_id, request) is not False:
            return False
        relay = self.live.relays[session_id]
        assert relay.pages is not None  # noqa: S101 - it would be refused
        relay.pages.join(socket, request)
        if self.draining:
            self._draining.notify(relay)
        return True

    def resume(
        self, session_id: str, proof: str, received: int, socket: Socket, attempt: int = 0
    ) -> bool:
        """Bring a browser back to its conversation; False if that is not one of this replica's.

        `proof` is the SHA-256 of the resume token, in hexadecimal.
        """
        page = self._page(session_id, proof)
        if page is None:
            return False
        page.attempt = max(page.attempt, attempt)
        page.resume(socket, received)
        if self.draining:
            self._draining.notify(self.live.relays[session_id])
        return True

    def count_lost_resume(self) -> None:
        """Count a browser that came back to a conversation that is no more."""
        self._metrics.resumes_total.labels("cannot_resume").inc()

    def end(self, session_id: str, reason: CloseReason = ENDED) -> bool:
        """End one of this replica's sessions; False if it has no such session."""
        relay = self.live.relays.get(session_id)
        if relay is None:
            return False
        relay.end(reason)
        return True

    def control(self, session_id: str, command: Command) -> Answer | None:
        """Carry out a command on one of this replica's sessions; None if it has no such session."""
        relay = self.live.relays.get(session_id)
        if relay is None:
            return None
        answer = relay.controlled().apply(command)
        if isinstance(command, TakeOver | HandBack) and not answer.is_refusal:
            assert self._tasks is not None  # noqa: S101 - it has live sessions
            self._tasks.create_task(
                self._registration.publish(self.live.row(session_id)),
                name=f"publish_row:{session_id}",
            )
        return answer

    # Accounting

    async def _account(self) -> None:
        """Report the time of tenants' sessions, and end those whose budget is used up."""
        if self._accounting is not None:
            owned: list[SessionRow] = []
            async for some in in_steps(self.live.ids_of_tenants(), SESSIONS_PER_STEP):
                owned += self.live.rows_of(some)
            owned = [row for row in owned if row.id in self.live]
            await self._accounting.tenants.account(owned, self._end_over_budget)

    def _end_over_budget(self, session_id: str, message: str, retry_after: float) -> None:
        relay = self.live.relays.get(session_id)
        if relay is not None:
            relay.end(TOO_MANY, message, retry_after)
