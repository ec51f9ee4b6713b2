"""Sessions of every replica: resume, watch and end one wherever it lives.

A session's owner is the replica that dialled its upstream. What a backend or a browser asks of
another one goes there through the shared store.
"""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import aclosing
from dataclasses import asdict, replace
from time import time
from typing import TYPE_CHECKING, Any

import structlog

from app.backoff import retry_soon
from app.cluster.browser_bridge import BROKEN
from app.cluster.commands import (
    Attach,
    ControlAnswer,
    ControlRequest,
    EndSession,
    PlaceGiven,
    Watch,
    decode,
    encode,
)
from app.cluster.control import SessionCommands
from app.cluster.live_events import Gap
from app.cluster.owner_message import tell_owner
from app.cluster.recent_ids import RecentIds
from app.protocol.close_codes import CANNOT_RESUME, FORBIDDEN, OVERLOADED, Retry
from app.protocol.errors import Refusal, StoreUnavailable
from app.relay.page import PageRequest
from app.relay.refusals import refuse
from blackbox_relay import exact_json

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from app.cluster.bridge import Bridges
    from app.cluster.live_events import LiveEvents
    from app.gateway.gateway import Gateway
    from app.state.interface import SessionRow, State
    from app.websocket.interface import Socket

log = structlog.get_logger(__name__)

MAX_REMEMBERED = 4000
"""Attachments: several times as many as a replica's inbox holds."""
NOTHING_TO_JOIN = "There is no such conversation to join."


class Replicas:
    """This replica among the others. `bridges` and `watches` are None where it is the only one."""

    def __init__(
        self,
        gateway: Gateway,
        state: State,
        bridges: Bridges | None,
        watches: LiveEvents | None,
    ) -> None:
        self.gateway = gateway
        self.commands = SessionCommands(gateway, state)
        self._state = state
        self._bridges = bridges
        self._watches = watches
        self._attached = RecentIds(MAX_REMEMBERED)

    async def run(self) -> None:
        """Do what other replicas ask, and keep bridges and watches going, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen(), name="replicas:commands")
            if self._bridges is not None:
                tasks.create_task(self._bridges.run(), name="replicas:bridges")
            if self._watches is not None:
                tasks.create_task(self._watches.run(), name="replicas:watches")

    async def close(self) -> None:
        """Let go of connections, after `run` has ended."""
        if self._bridges is not None:
            await self._bridges.close()
        if self._watches is not None:
            await self._watches.close()

    def release(self) -> None:
        """Send browsers that are bridged from here to another replica: this one goes away."""
        if self._bridges is not None:
            self._bridges.release()

    async def resume(self, token: str, received: int, socket: Socket, attempt: int = 0) -> None:
        """Bring a browser back to its conversation, wherever that lives, or say that it is lost.

        `attempt` grows with each of a browser's attempts, where it says so (else 0).
        """
        session_id, proof = token.partition(".")[0], hashlib.sha256(token.encode()).hexdigest()
        if self._resume_here(session_id, proof, received, attempt, socket, direct=True):
            return
        try:
            row = await self._state.find(session_id)
            if (
                self._bridges is not None
                and row is not None
                and row.replica != self.gateway.replica
            ):
                hello = {"proof": proof, "received": received, "attempt": attempt}
                await self._bridges.serve(socket, row, hello)
                return
        except StoreUnavailable:
            # The conversation may well live: a browser that began anew would lose it.
            busy = replace(OVERLOADED, retry=Retry.RESUME)
            refuse(socket, time(), busy, session_id, None, retry_soon())
            return
        self.gateway.count_lost_resume()
        refuse(socket, time(), CANNOT_RESUME, None)

    async def find_to_join(self, session_id: str, request: PageRequest) -> SessionRow | None:
        """Find a chat that a page may join: its row, or None if it is one of this replica's.

        Raises `Refusal`, the same for a session that does not exist, that is another subject's or
        that cannot be joined: who asks learns nothing of others.
        """
        refused = self.gateway.refuses_join(session_id, request)
        if refused is False:
            return None
        if refused is None and self._bridges is not None:
            try:
                row = await self._state.find(session_id)
            except StoreUnavailable:
                raise Refusal(OVERLOADED, retry_after=retry_soon()) from None
            if row is not None and row.replica != self.gateway.replica and _admits(row, request):
                return row
        raise Refusal(FORBIDDEN, NOTHING_TO_JOIN)

    async def join(
        self, session_id: str, row: SessionRow | None, request: PageRequest, socket: Socket
    ) -> None:
        """Let a page into a chat that `find_to_join` has found, wherever that lives."""
        if row is None or self._bridges is None:
            self._join_here(session_id, request, socket)
            return
        try:
            await self._bridges.serve(socket, row, {"join": asdict(request)})
        except StoreUnavailable:
            refuse(socket, time(), OVERLOADED, None, None, retry_soon())

    def _join_here(self, session_id: str, request: PageRequest, socket: Socket) -> None:
        if not self.gateway.join(session_id, request, socket):
            refuse(socket, time(), FORBIDDEN, None, NOTHING_TO_JOIN)

    async def end(self, session_id: str) -> bool:
        """End a session; False if there is none. Raises `StoreUnavailable`."""
        if self.gateway.end(session_id):
            return True
        row = await self._state.find(session_id)
        return row is not None and await tell_owner(
            self._state, row, encode(EndSession(session_id))
        )

    async def find(self, session_id: str) -> SessionRow | None:
        """Look a session up; this replica's own are fresher than the store's."""
        row = await self._state.find(session_id)
        return None if row is None else self.gateway.live.current_row(row)

    async def watch(self, session_id: str) -> AsyncGenerator[dict[str, Any], None]:
        """Yield what happens in a session until it ends; who is slow is told what it missed."""
        if session_id in self.gateway.live:
            async for event in self.gateway.live.events(session_id):
                yield event
            return
        row = await self._state.find(session_id)
        if row is None or self._watches is None:
            return
        async with aclosing(self._watches.watch(row)) as events:
            async for said in events:
                yield (
                    {"kind": "gap", "missed": said.missed}
                    if isinstance(said, Gap)
                    else exact_json.loads_all(said)
                )

    # What others ask

    async def _listen(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            async for payload in self._state.inbox():
                message = decode(payload)
                if isinstance(message, EndSession):
                    self.gateway.end(message.session_id)
                elif isinstance(message, Attach):
                    self._attach(message)
                elif isinstance(message, ControlRequest):
                    answer = self.commands.carry_out(message)
                    tasks.create_task(
                        self.commands.reply(message, answer), name=f"reply:{message.session_id}"
                    )
                elif isinstance(message, ControlAnswer):
                    self.commands.answered(message)
                elif isinstance(message, PlaceGiven):
                    if self.gateway.places is not None:
                        self.gateway.places.wake()
                elif isinstance(message, Watch):
                    tasks.create_task(self._publish(message), name=f"publish:{message.session_id}")

    def _attach(self, message: Attach) -> None:
        """Take over a browser that another replica serves.

        After a failover of the store the inbox is read from its beginning: an `Attach` of earlier
        must not replace the browser's socket, or ask for what is no longer held.
        """
        if self._bridges is None or not self._attached.is_new(message.attachment):
            return
        try:
            socket = self._bridges.accept(message)
        except StoreUnavailable:
            log.warning("bridge_refused", session=message.session_id)
            return
        if "join" in message.hello:
            request = _page_request(message.hello["join"])
            if request is None:
                refuse(socket, time(), FORBIDDEN, None, NOTHING_TO_JOIN)
            else:
                self._join_here(message.session_id, request, socket)
            return
        proof, received = message.hello.get("proof"), message.hello.get("received")
        attempt = message.hello.get("attempt", 0)
        if not (isinstance(proof, str) and isinstance(received, int) and isinstance(attempt, int)):
            refuse(socket, time(), CANNOT_RESUME, None)
        elif not self._resume_here(
            message.session_id, proof, received, attempt, socket, direct=False
        ):
            self.gateway.count_lost_resume()
            refuse(socket, time(), CANNOT_RESUME, None)

    def _resume_here(
        self,
        session_id: str,
        proof: str,
        received: int,
        attempt: int,
        socket: Socket,
        *,
        direct: bool,
    ) -> bool:
        """Bring a browser back to a conversation of this replica's; False if there is none.

        An attempt that was on its way for longer than a later one is asked to come again.
        """
        if self.gateway.is_stale_attempt(session_id, proof, received, attempt, direct=direct):
            refuse(socket, time(), BROKEN, None)
            return True
        return self.gateway.resume(session_id, proof, received, socket, attempt)

    async def _publish(self, message: Watch) -> None:
        """Publish a session's events for a watcher on another replica."""
        if self._watches is None:
            return
        publisher = self._watches.publisher(message)
        over = asyncio.Event()

        def tell(event: dict[str, Any]) -> None:
            publisher.publish(exact_json.dumps(event))
            if event["kind"] == "end" or publisher.closed:
                over.set()

        with self.gateway.live.watching(message.session_id, tell):
            await over.wait()
        publisher.close()


def _admits(row: SessionRow, request: PageRequest) -> bool:
    """Tell whether a page may join by what is published of a session.

    Its owner looks again, and knows whether it is a chat: what is published may be seconds old.
    """
    return (
        row.subject == request.subject
        and request.agent in {None, row.agent, row.requested_agent}
        and request.tenant in {None, row.tenant}
    )


def _page_request(hello: object) -> PageRequest | None:
    """Read another replica's `PageRequest`; None if it is none."""
    if not isinstance(hello, dict) or not isinstance(hello.get("subject"), str):
        return None
    agent, credential = hello.get("agent"), hello.get("credential_id")
    expires, tenant = hello.get("expires_at"), hello.get("tenant")
    words = all(value is None or isinstance(value, str) for value in (agent, credential, tenant))
    if not words or not (expires is None or isinstance(expires, int | float)):
        return None
    return PageRequest(hello["subject"], agent, credential, expires, tenant)
