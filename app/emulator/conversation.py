"""One WebSocket's life at the vendor: initialize, talk, end; strict where the vendor is strict."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from app.emulator import rules
from app.emulator.call import Call
from app.emulator.faults import FAULTS, FaultInjection
from app.emulator.rules import BadFrame, HandshakeRejected
from app.emulator.socket import SocketGone, VendorSocket

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.emulator.call_log import CallLog, Record
    from app.emulator.faults import FaultSpec
    from app.emulator.frame_variants import Frame, FrameVariants
    from app.emulator.options import Options

log = logging.getLogger(__name__)

Agent = Callable[[Call], Awaitable[None]]


class Conversation:
    """Runs one conversation from the opened socket to the closed one.

    Two tasks: the agent's script speaks, `_listen` reads and feeds it. `secret` is what dialled.
    """

    def __init__(
        self,
        socket: VendorSocket,
        record: Record,
        call_log: CallLog,
        options: Options,
        variants: FrameVariants,
        agents: Mapping[str, Agent],
        *,
        secret: str = "",
        order: FaultSpec | None = None,
    ) -> None:
        self.socket = socket
        self.secret = secret
        self.mute = False
        self._record = record
        self._call_log = call_log
        self._options = options
        self._variants = variants
        self._agents = agents
        self._order = order
        self._finishing = False
        self._started = dt.datetime.now(dt.UTC)

    async def run(self, refusal: str | None = None) -> None:
        """Hold the conversation, or say `refusal` at once. Returns when the socket is gone."""
        try:
            call = await self._opened(refusal)
            if call is not None:
                agent = self._cast(call)
                if self._record.fault == "drop_on_initialize":
                    self._drop()
                else:
                    await self._talk(call, agent)
            await self._until_gone()
        except SocketGone:
            pass
        except (HandshakeRejected, BadFrame) as verdict:
            await self._turn_down(verdict)
        finally:
            self._settle()

    async def send(self, frame: Frame) -> None:
        """Send a frame of the conversation, unless a fault has struck it dumb."""
        if self.mute:
            return
        await self.socket.send(self._variants.write(frame))
        self._record.sent[frame["type"]] += 1

    def _drop(self) -> None:
        self.mark_faulted()
        self.socket.drop()

    def mark_faulted(self) -> None:
        """Note that a fault ends this conversation."""
        self._record.ended_by = "fault"
        self.mute = True

    async def _opened(self, refusal: str | None) -> Call | None:
        """Wait for initialize; `None` when there is nothing to talk about."""
        if refusal is not None:
            raise HandshakeRejected(refusal)
        if self._order is not None and self._order.name == "accept_silent":
            self._record.fault, self.mute = self._order.name, True
            return None
        if self._order is not None and self._order.name == "drop_on_open":
            self._record.fault = self._order.name
            self._drop()
            return None
        try:
            async with asyncio.timeout(self._options.initialize_timeout):
                frame = await self._receive()
        except TimeoutError:
            raise HandshakeRejected("Init message not received") from None
        request = rules.initialize_request(frame, self._record.endpoint)
        if request is None:  # a probe that sent the other endpoint's shape saw 1006 (L)
            self._record.blame(f"initialize without {rules.CARRIES[self._record.endpoint]}")
            self._record.ended_by = "vendor"
            self.socket.drop()
            return None
        return self._call(request)

    def _call(self, request: dict[str, Any]) -> Call:
        additional = request.get("additionalData") or {}
        marker = additional.get("marker")
        self._record.marker = marker if isinstance(marker, str) else None
        self._record.call_type = request["callType"]
        self._variants.plain |= additional.get("plain") is True
        return Call(
            self._record.id,
            request["callType"],
            request.get("endpoint"),
            {
                "partials": self._options.partials,
                **(self._order.params if self._order else {}),
                **additional,
            },
            self.send,
            self._variants,
            pace=self._options.pace,
            tool_timeout=self._options.tool_timeout,
        )

    def _cast(self, call: Call) -> Agent:
        """Find the agent that initialize asks for, and the fault that shall strike it."""
        name = call.setting("agent", self._options.agents[call.call_type])
        fault = call.setting("fault", name if name in FAULTS else "")
        if fault and fault not in FAULTS:
            raise HandshakeRejected(f"No fault {fault!r}; there are: {', '.join(sorted(FAULTS))}")
        if fault and FAULTS[fault].early:
            raise HandshakeRejected(f"{fault} strikes before initialize: POST /emulator/faults")
        fault = fault or (self._order.name if self._order else "")
        name = "echo" if name in FAULTS else name
        if name not in self._agents:
            raise HandshakeRejected(
                f"No agent {name!r}; there are: {', '.join(sorted(self._agents))}"
            )
        if fault:
            strike = FaultInjection(FAULTS[fault], self, call, call.setting("faultAfter", 0))
            call.on_spoken = strike.spoken
            self.mute = fault == "accept_silent"
        self._record.agent, self._record.fault = name, fault or None
        self._record.state = "running"
        self._call_log.changed()
        return self._agents[name]

    async def _talk(self, call: Call, agent: Agent) -> None:
        await call.event("connection", {self._variants.id_field: self._record.id})
        for stranger in self._variants.unknown_frames():
            await call.send(stranger)
        async with asyncio.TaskGroup() as tasks:
            script = tasks.create_task(self._perform(call, agent), name="script")
            try:
                await self._listen(call, script)
            except SocketGone:
                pass
            except (HandshakeRejected, BadFrame) as verdict:
                script.cancel()
                await self._turn_down(verdict)
            script.cancel()

    async def _perform(self, call: Call, agent: Agent) -> None:
        """Run the agent's script to its end, then end the conversation."""
        try:
            if call.on_spoken is not None:
                await call.on_spoken(0)
            await agent(call)
        except SocketGone:
            return  # the listener sees it too, and ends the conversation
        except Exception:  # an agent may be a test's own
            log.exception("agent %s crashed", self._record.agent)
            call.result |= {"status": "Failed", "errorMessage": "Internal error"}
        await self._finish(call)

    async def _listen(self, call: Call, script: asyncio.Task[None]) -> None:
        """Feed the call, frame by frame."""
        while True:
            frame = await self._receive()
            if frame["type"] == "terminate":
                await self._terminated(call, script)
            else:
                await self._take(call, frame)

    async def _terminated(self, call: Call, script: asyncio.Task[None]) -> None:
        self._record.terminated = True
        self._call_log.changed()
        if self.mute or self._finishing:
            return
        script.cancel()
        await asyncio.wait({script})
        call.result["finishReason"] = "terminated"
        await self._finish(call)

    async def _take(self, call: Call, frame: Frame) -> None:
        violation: str | None = None
        match frame["type"]:
            case "incomingChatMessage":
                text = rules.user_text(frame)
                await call.transcribe(text)
                await call.user_said(text)
            case "websocketToolResponse":
                call_id, result = rules.tool_result(frame)
                self._record.tool_answers[call_id] += 1
                violation = call.tool_answered(call_id, result)
            case "sdpAnswer":
                violation = call.sdp_answered(rules.sdp_answer(frame))
            case "initialize":
                raise HandshakeRejected("Multiple init messages received")
            case unknown:
                violation = f"unknown type {unknown:.60}"
        if violation is not None:
            self._record.blame(violation)

    async def _receive(self) -> Frame:
        message = await self.socket.receive()
        if isinstance(message, bytes):
            raise BadFrame(1003, "Binary messages are not supported")
        self._call_log.received(self._record, message)
        return rules.parse(message, self._options.max_message)

    async def _finish(self, call: Call) -> None:
        """Send the result and the closed event, and close as the vendor does after this call."""
        if self.mute or self._finishing:
            return
        self._finishing = True
        self._record.result = call.result
        self._record.ended_by = "client" if self._record.terminated else "agent"
        times = {
            "endpoint": call.endpoint,
            "hangupMsgId": None,
            "startConnectionTimeISO": self._started.isoformat(),
            "endConnectionTimeISO": dt.datetime.now(dt.UTC).isoformat(),
        }
        try:
            await self.send({"type": "conversationResult", "result": call.result})
            await call.event("closed", times)
            if call.drop_at_end:
                self.socket.drop()
            else:
                await self.socket.close(1000)
        except SocketGone:
            return

    async def _turn_down(self, verdict: HandshakeRejected | BadFrame) -> None:
        self._record.ended_by = "vendor"
        self._record.blame(str(verdict))
        try:
            if isinstance(verdict, HandshakeRejected):
                await self.send({"type": "error", "data": {"message": str(verdict)}})
            await self.socket.close(verdict.code, str(verdict))
            await self._until_gone()
        except SocketGone:
            return

    async def _until_gone(self) -> None:
        """Read on, so that the peer sees our FIN and not an RST. Raises `SocketGone` at the end."""
        while True:
            message = await self.socket.receive()
            if isinstance(message, str):
                self._call_log.received(self._record, message)

    def _settle(self) -> None:
        record = self._record
        record.state = "ended"
        record.close_received = self.socket.close_received
        record.close_sent = self.socket.close_sent
        record.pings = self.socket.pings
        record.seconds = round(time.monotonic() - record.opened_at, 6)
        if record.ended_by is None:
            record.ended_by = "client" if self.socket.closed_by_peer else "lost"
        self._call_log.changed()
