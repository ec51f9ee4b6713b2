"""Commands on live sessions, carried out by the replica that owns each.

A command for another replica goes there through the shared store, and its answer comes back the
same way. It is sent again while no answer comes: its owner carries each id out once.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Any, Final

import structlog

from app.cluster.commands import ControlAnswer, ControlRequest, EndSession, encode
from app.cluster.owner_message import tell_owner
from app.protocol.control import ABSENT, Answer, Command, Finish, from_json, refused, to_json
from app.protocol.errors import StoreUnavailable

if TYPE_CHECKING:
    from app.gateway.gateway import Gateway
    from app.state.interface import State

log = structlog.get_logger(__name__)

ANSWER_WITHIN: Final = 6.0
SEND_AGAIN_AFTER: Final = 1.5
"""Seconds until a command is given up, and until it is sent once more."""

MAX_PENDING: Final = 1_000
UNANSWERED: Final = refused(
    504,
    "owner_silent",
    "The replica that has the session does not answer. Send the request again with the same "
    "Idempotency-Key: it is carried out once.",
)
BUSY: Final = refused(503, "busy", "Too many requests to other replicas wait. Try again.")
CRASHED: Final = refused(500, "internal_error", "Something went wrong on our side.")
UNKNOWN: Final = refused(501, "unknown_command", "The session's replica does not know this yet.")


class SessionCommands:
    """Commands from this replica's clients, and from other replicas for its sessions."""

    def __init__(self, gateway: Gateway, state: State) -> None:
        self._gateway = gateway
        self._state = state
        self._pending: dict[str, asyncio.Future[Answer]] = {}

    async def run(self, session_id: str, command: Command) -> Answer:
        """Carry a command out wherever its session lives. Raises `StoreUnavailable`."""
        answer = self._gateway.control(session_id, command)
        if answer is not None:
            return answer
        if isinstance(command, Finish) and command.is_plain:
            return await self._end(session_id)
        if len(self._pending) >= MAX_PENDING:
            return BUSY
        request_id = secrets.token_hex(16)
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._pending[request_id] = answered
        try:
            return await self._ask(session_id, request_id, to_json(command), answered)
        finally:
            del self._pending[request_id]

    async def _end(self, session_id: str) -> Answer:
        """End a session as replicas of every release understand it."""
        row = await self._state.find(session_id)
        told = row is not None and await tell_owner(
            self._state, row, encode(EndSession(session_id))
        )
        return Answer(204) if told else ABSENT

    async def _ask(
        self,
        session_id: str,
        request_id: str,
        command: dict[str, Any],
        answered: asyncio.Future[Answer],
    ) -> Answer:
        message = encode(ControlRequest(session_id, request_id, self._gateway.replica, command))
        deadline = asyncio.get_running_loop().time() + ANSWER_WITHIN
        while asyncio.get_running_loop().time() < deadline:
            row = await self._state.find(session_id)
            if row is None:
                return ABSENT
            if await self._state.tell(row.replica, message):
                done, _ = await asyncio.wait((answered,), timeout=SEND_AGAIN_AFTER)
                if done:
                    return answered.result()
            else:
                await asyncio.sleep(SEND_AGAIN_AFTER / 3)  # its owner died: its lease runs out
        return UNANSWERED

    def carry_out(self, request: ControlRequest) -> Answer:
        """Carry out at once what another replica asks for: requests keep their order."""
        command = from_json(request.command)
        if command is None:
            return UNKNOWN
        try:
            return self._gateway.control(request.session_id, command) or ABSENT
        except Exception:  # outermost handler: one command must not end what serves all
            log.exception("control_crashed", session=request.session_id)
            return CRASHED

    async def reply(self, request: ControlRequest, answer: Answer) -> None:
        """Tell the asking replica; a lost answer is asked for again."""
        told = {"status": answer.status, "body": dict(answer.body)}
        try:
            await self._state.tell(request.replica, encode(ControlAnswer(request.request_id, told)))
        except StoreUnavailable:
            log.warning("control_answer_lost", session=request.session_id, advice="asked again")

    def answered(self, message: ControlAnswer) -> None:
        """Take an answer; one that is no longer waited for is dropped."""
        waiting = self._pending.get(message.request_id)
        status, body = message.answer.get("status"), message.answer.get("body")
        if waiting is None or waiting.done():
            return
        if isinstance(status, int) and isinstance(body, dict):
            waiting.set_result(Answer(status, body))
