"""All relays of one process: admit, list, end, drain.

A relay's task belongs to the gateway's TaskGroup, not to the browser's request: a browser's socket
may come and go while its conversation lives.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count
from random import uniform
from time import time
from typing import TYPE_CHECKING, Final

import structlog

from app.errors import Refusal, StateLost
from app.protocol import frames
from app.protocol.closing import (
    DRAINING,
    ENDED,
    OVERLOADED,
    TOO_MANY,
    UNAUTHENTICATED,
    UPSTREAM_FAILED,
    CloseReason,
)
from app.protocol.principal import CallType
from app.relay.conversation import Conversation
from app.relay.relay import Relay
from app.state.port import Caps, SessionRow

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

    from app.protocol.initialize import Profile, Wish
    from app.protocol.principal import Principal
    from app.relay.conversation import Collaborators, RelayLimits
    from app.relay.watch import Watcher
    from app.state.port import State
    from app.telemetry.metrics import Metrics
    from app.telemetry.traces import Trace
    from app.wire.socket import Socket

log = structlog.get_logger(__name__)

HEARTBEAT: Final = 2.0
BEATS_PER_REFRESH: Final = 2
LAG_TICK: Final = 0.25
WISH_GRACE: Final = 1.0
RECONNECT_SPREAD: Final = (0.5, 5.0)


@dataclass(frozen=True, slots=True)
class GatewayLimits:
    """How many sessions, and how draining goes; durations in seconds."""

    max_sessions: int
    per_subject: int
    per_address: int
    initialize_timeout: float
    drain_delay: float
    drain_timeout: float


@dataclass(frozen=True, slots=True)
class Admission:
    """A place that was taken for one browser, before its socket is accepted."""

    conversation: Conversation
    row: SessionRow


@dataclass(frozen=True, slots=True)
class Arrival:
    """How a browser came in.

    `wishes` is set by a browser that announces an `initialize` of its own.
    `native` browsers speak `blackbox-relay.v1` and may resume; `vendor_path` ones came by the
    vendor's own path and must send an `initialize` of their own.
    """

    address: str
    wish: Wish
    trace: Trace
    native: bool
    vendor_path: bool
    wishes: bool = False


class Gateway:
    """The live conversations of this replica. `helpers` are those of each agent's."""

    def __init__(
        self,
        replica: str,
        state: State,
        helpers: Mapping[str, Collaborators],
        metrics: Metrics,
        limits: GatewayLimits,
        relay_limits: RelayLimits,
    ) -> None:
        self.replica = replica
        self.draining = False
        self._state = state
        self._helpers = helpers
        self._metrics = metrics
        self._limits = limits
        self._relay_limits = relay_limits
        self._live: dict[str, Relay] = {}
        self._rows: dict[str, SessionRow] = {}
        self._entering: set[str] = set()
        self._tasks: asyncio.TaskGroup | None = None
        self._closed = False
        self._drain_until = 0.0
        self._hurry = asyncio.Event()
        self._empty = asyncio.Event()

    async def run(self, started: asyncio.Event) -> None:
        """Own every relay until cancelled, and keep the shared store in the picture."""
        async with asyncio.TaskGroup() as self._tasks:
            self._tasks.create_task(self._beat())
            self._tasks.create_task(self._watch_lag())
            started.set()

    # Readiness

    @property
    def live(self) -> dict[str, Relay]:
        """The relays of this replica, by session id."""
        return self._live

    @property
    def open_circuits(self) -> list[str]:
        """The agents for whom the vendor is not tried for now."""
        return [name for name, helpers in self._helpers.items() if helpers.circuit.opens_in > 0]

    @property
    def cut_off(self) -> bool:
        """Whether the vendor is tried for no agent at all."""
        return len(self.open_circuits) == len(self._helpers)

    @property
    def max_sessions(self) -> int:
        """How many sessions this replica takes."""
        return self._limits.max_sessions

    @property
    def full(self) -> bool:
        """Whether this replica has as many sessions as it may, those that come in included."""
        return len(self._live) + len(self._entering) >= self._limits.max_sessions

    def labels(self) -> Iterator[tuple[str, str]]:
        """The agent and call type of every live session, for metrics."""
        for relay in self._live.values():
            yield relay.conversation.profile.name, relay.call_type.value

    def waiting(self) -> int:
        """Bytes that wait for browsers."""
        return sum(relay.browser.waiting for relay in self._live.values())

    # Sessions

    async def admit(self, profile: Profile, principal: Principal, arrival: Arrival) -> Admission:
        """Take a place for a browser. Raises `Refusal`, with when to come back."""
        if self._closed or self._tasks is None:
            raise Refusal(OVERLOADED, DRAINING.message, retry_after=uniform(*RECONNECT_SPREAD))  # noqa: S311
        if self.full:
            raise Refusal(OVERLOADED, retry_after=uniform(*RECONNECT_SPREAD))  # noqa: S311
        opens_in = self._helpers[profile.name].circuit.opens_in
        if opens_in > 0:
            raise Refusal(UPSTREAM_FAILED, retry_after=opens_in + uniform(0, 2))  # noqa: S311
        conversation = self._conversation(profile, principal, arrival)
        row = SessionRow(
            id=conversation.id,
            replica=self.replica,
            agent=profile.name,
            call_type=(principal.call_type or profile.default_call_type).value,
            subject=principal.subject,
            address=arrival.address,
            started_at=conversation.started_at,
            credential_id=principal.credential_id,
        )
        # Taken before the store is asked: others come in meanwhile.
        self._entering.add(row.id)
        try:
            await self._enter(row)
        except BaseException:
            self._entering.discard(row.id)
            raise
        return Admission(conversation, row)

    async def _enter(self, row: SessionRow) -> None:
        caps = Caps(self._limits.per_subject, self._limits.per_address)
        try:
            refused = await self._state.enter(row, caps)
        except StateLost:
            raise Refusal(OVERLOADED, retry_after=uniform(*RECONNECT_SPREAD)) from None  # noqa: S311
        if refused == "revoked":
            raise Refusal(UNAUTHENTICATED, "The credential was revoked.")
        if refused is not None:
            raise Refusal(TOO_MANY, "Too many conversations at once.", retry_after=uniform(5, 10))  # noqa: S311

    def _conversation(
        self, profile: Profile, principal: Principal, arrival: Arrival
    ) -> Conversation:
        session_id = secrets.token_hex(16)
        known = arrival.wish.call_type is not None or (
            arrival.native and principal.call_type is not None
        )
        settled = known and not arrival.wishes
        if arrival.vendor_path:
            wait = self._limits.initialize_timeout
        else:
            wait = 0.0 if settled else min(WISH_GRACE, self._limits.initialize_timeout)
        return Conversation(
            session_id,
            profile,
            principal,
            arrival.address,
            arrival.wish,
            time(),
            arrival.trace,
            wish_wait=wait,
            wish_demanded=arrival.vendor_path,
            resume_token=f"{session_id}.{secrets.token_urlsafe(24)}" if arrival.native else None,
        )

    async def withdraw(self, admission: Admission) -> None:
        """Give a place back whose browser never came."""
        self._entering.discard(admission.row.id)
        await self._forget(admission.row)

    def start(self, admission: Admission, socket: Socket | None) -> Relay:
        """Begin an admitted conversation on its browser's socket, or without one."""
        assert self._tasks is not None  # noqa: S101 - admit has looked
        helpers = self._helpers[admission.conversation.profile.name]
        relay = Relay(admission.conversation, helpers, self._relay_limits)
        self._entering.discard(admission.row.id)
        self._live[admission.row.id] = relay
        self._rows[admission.row.id] = admission.row
        self._empty.clear()
        if socket is not None:
            relay.browser.attach(socket)
        self._tasks.create_task(self._run(relay, admission.row))
        return relay

    async def _run(self, relay: Relay, row: SessionRow) -> None:
        """Run one relay; what goes wrong in it is its own trouble alone."""
        try:
            await relay.run()
        except Exception:
            log.exception("relay_crashed", session=row.id)
        finally:
            del self._live[row.id]
            del self._rows[row.id]
            if not self._live:
                self._empty.set()
            await self._forget(row)

    async def _forget(self, row: SessionRow) -> None:
        try:
            await self._state.leave(row)
        except StateLost:
            log.warning("session_not_forgotten", session=row.id, advice="its lease runs out")

    def overtaken(self, session_id: str, attempt: int) -> bool:
        """Tell whether a later attempt of this browser's to resume has come already."""
        relay = self._live.get(session_id)
        return relay is not None and relay.browser.here and 0 < attempt < relay.attempt

    def resume(
        self, session_id: str, proof: str, received: int, socket: Socket, attempt: int = 0
    ) -> bool:
        """Bring a browser back to its conversation; False if that is not one of this replica's.

        `proof` is the SHA-256 of the resume token, in hexadecimal.
        """
        relay = self._live.get(session_id)
        token = None if relay is None else relay.conversation.resume_token
        if relay is None or token is None:
            return False
        expected = hashlib.sha256(token.encode()).hexdigest()
        if not hmac.compare_digest(expected, proof):
            return False
        relay.attempt = max(relay.attempt, attempt)
        relay.resume(socket, received)
        if self.draining:
            self._tell_draining(relay)
        return True

    def count_lost_resume(self) -> None:
        """Count a browser that came back to a conversation that is no more."""
        self._metrics.resumes_total.labels("cannot_resume").inc()

    def rows(self) -> list[SessionRow]:
        """What this replica publishes of its sessions."""
        return [self._row(self._rows[session], relay) for session, relay in self._live.items()]

    def _row(self, row: SessionRow, relay: Relay) -> SessionRow:
        session = relay.session
        return replace(
            row,
            call_type=relay.call_type.value,
            phase=session.phase.value,
            browser=relay.browser.state,
            frames_in=session.received,
            frames_out=session.outgoing.count,
            bytes_in=session.size_received,
            bytes_out=session.outgoing.sent,
            tools=relay.tools_running,
        )

    def end(self, session_id: str, reason: CloseReason = ENDED) -> bool:
        """End one of this replica's sessions; False if it has no such session."""
        relay = self._live.get(session_id)
        if relay is None:
            return False
        relay.end(reason)
        return True

    def fresh(self, row: SessionRow) -> SessionRow:
        """A row as it is now, if the session is this replica's."""
        relay = self._live.get(row.id)
        return row if relay is None else self._row(row, relay)

    @asynccontextmanager
    async def watching(self, session_id: str, watcher: Watcher) -> AsyncIterator[None]:
        """Let a watcher hear of everything that happens in one session."""
        relay = self._live.get(session_id)
        if relay is None:
            watcher({"at": round(time(), 3), "kind": "end"})
            yield
            return
        relay.books.watchers.watching.add(watcher)
        relay.listen()
        try:
            yield
        finally:
            relay.books.watchers.watching.discard(watcher)
            relay.listen()

    # Beside the sessions

    async def _beat(self) -> None:
        """Renew leases, and end sessions whose credential was revoked on any replica."""
        for beat in count():
            try:
                if beat % BEATS_PER_REFRESH == 0:
                    await self._state.refresh(self.rows())
                await self._end_revoked()
            except StateLost:
                log.warning("state_lost", advice="live sessions go on; check RELAY_STATE_URL")
            await asyncio.sleep(HEARTBEAT)

    async def _end_revoked(self) -> None:
        held = {row.credential_id for row in self._rows.values() if row.credential_id is not None}
        revoked = await self._state.revoked(held) if held else frozenset()
        if revoked:
            for session_id, row in tuple(self._rows.items()):
                if row.credential_id in revoked:
                    self._live[session_id].end(UNAUTHENTICATED, "The credential was revoked.")

    async def _watch_lag(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_TICK
            await asyncio.sleep(LAG_TICK)
            self._metrics.loop_lag_seconds.set(max(0.0, loop.time() - due))

    # Draining

    def hurry(self) -> None:
        """Shorten a drain that is under way: end what is left now."""
        self._hurry.set()

    async def drain(self, closed: Callable[[], None]) -> None:
        """Let live sessions end, then end them: idle chats first, calls last.

        `closed` is called once no new session is taken any more.
        """
        self.draining = True
        self._metrics.draining.set(1)
        log.info("draining", sessions=len(self._live), delay=self._limits.drain_delay)
        self._drain_until = time() + self._limits.drain_delay + self._limits.drain_timeout
        told = frozenset(self._live)
        for relay in self._live.values():
            self._tell_draining(relay)
        await self._pause(self._limits.drain_delay)
        self._closed = True
        closed()
        for session_id, relay in self._live.items():
            if session_id not in told:
                self._tell_draining(relay)
        if self._live:
            self._empty.clear()
            await self._pause(self._limits.drain_timeout / 2, until_empty=True)
            self._end_idle()
            await self._pause(self._limits.drain_timeout / 2, until_empty=True)
        for relay in tuple(self._live.values()):
            relay.end(DRAINING, retry_after=uniform(*RECONNECT_SPREAD))  # noqa: S311
            relay.let_go()
        self._hurry.clear()
        if self._live:
            await self._pause(3 * self._relay_limits.end_grace, until_empty=True)
        log.info("drained", sessions=len(self._live))

    def _tell_draining(self, relay: Relay) -> None:
        relay.browser.announce(frames.draining(time(), self._drain_until))

    def _end_idle(self) -> None:
        """Halfway through: chats in which nobody is saying anything can start anew elsewhere."""
        silence = min(30.0, self._limits.drain_timeout / 4)
        for relay in tuple(self._live.values()):
            quiet = relay.idle_for >= silence and relay.tools_running == 0
            if relay.call_type is CallType.CHAT and quiet:
                relay.end(DRAINING, retry_after=uniform(*RECONNECT_SPREAD))  # noqa: S311

    async def _pause(self, seconds: float, *, until_empty: bool = False) -> None:
        """Wait, but no longer than until the last session has ended or somebody hurries."""
        if self._hurry.is_set() or seconds <= 0:
            return
        events = [self._hurry, self._empty] if until_empty else [self._hurry]
        async with asyncio.TaskGroup() as group:
            waits = [group.create_task(event.wait()) for event in events]
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()
