"""The fake vendor as a server: takes connections, routes them, and lets them go again."""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
import time
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

from websockets.http11 import Request as Handshake
from websockets.server import ServerProtocol

from app.emulator.agents import AGENTS, summaries
from app.emulator.call_log import CallLog, Record
from app.emulator.calls import Calls
from app.emulator.concurrency import EXCEEDED, Concurrency
from app.emulator.control_api import PREFIX, ControlApi, FaultSwitch
from app.emulator.conversation import Conversation
from app.emulator.faults import FAULTS, FaultSpec
from app.emulator.frame_variants import FrameVariants
from app.emulator.http import Answer, BadRequest, Request, problem, read_request
from app.emulator.integration import Integration
from app.emulator.options import Options
from app.emulator.rest import DEV, WEB_CALL, Rest
from app.emulator.socket import VendorSocket
from app.emulator.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.emulator.conversation import Agent

log = logging.getLogger(__name__)

ENDPOINTS: Final = {DEV: ("dev", "authorization"), WEB_CALL: ("webCall", "token")}
TRAP: Final = "/emulator/trap"
SPOKEN_REFUSALS: Final = {
    "not_enabled": "Web integration is not enabled",
    "origin_not_allowed": "Origin not allowed",
    "concurrent_limit": "Concurrent limit exceeded",
    "invalid_token": "Invalid token",
    "missing_token": "Missing token",
}
BACKLOG: Final = 2_048
# websockets' own logger shows the request line, and the key in it. This one no level wakes.
SILENT: Final = logging.Logger("silent", logging.CRITICAL + 1)  # noqa: LOG001


class Emulator:
    """The fake vendor. `async with Emulator(options) as emulator:` serves until the block ends.

    `agents` adds scripts to the built-in ones. `call_log`, `switch` and `tokens` are what the side
    door shows, for tests that run it in their own process.
    """

    def __init__(
        self, options: Options | None = None, agents: Mapping[str, Agent] | None = None
    ) -> None:
        self.options = options or Options()
        self.call_log = CallLog(self.options)
        self.tokens = Tokens(self.options)
        self.switch = FaultSwitch(
            FaultSpec(self.options.fault, None) if self.options.fault else None
        )
        self._agents: dict[str, Agent] = {**AGENTS, **(agents or {})}
        self.concurrency = Concurrency(self.options.concurrency, self.call_log.counters)
        self.integration = Integration()
        calls = Calls(self.call_log)
        self._rest = Rest(self.options, self.tokens, self.concurrency, self.integration, calls)
        self._control_api = ControlApi(
            self.call_log, self.switch, self.concurrency, summaries(self._agents), self.integration
        )
        self._index = itertools.count()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen. Raises `OSError` if the port is taken."""
        self._server = await asyncio.start_server(
            self._connected, self.options.host, self.options.port, backlog=BACKLOG
        )

    async def stop(self) -> None:
        """Stop listening, drop every connection, and wait until all is gone."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None

    @property
    def port(self) -> int:
        """The port that it listens on."""
        if self._server is None:
            raise RuntimeError("the emulator is not running")
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        """The base URL for WebSockets, as the gateway's configuration wants it."""
        return f"ws://{self.options.host}:{self.port}"

    @property
    def http_url(self) -> str:
        """The base URL for REST and the control API."""
        return f"http://{self.options.host}:{self.port}"

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(
            self._serve(reader, writer), name="connection"
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.call_log.counters["sockets_open"] += 1
        self.call_log.counters["sockets_total"] += 1
        try:
            async with asyncio.timeout(self.options.handshake_timeout):
                request = await read_request(reader)
            if request is not None:
                await self._route(request, reader, writer)
        except BadRequest as exc:
            await _write(writer, problem(400, str(exc)))
        except (TimeoutError, OSError):
            pass
        except Exception:  # the outermost door
            log.exception("connection crashed")
        finally:
            self.call_log.counters["sockets_open"] -= 1
            self.call_log.changed()
            writer.close()
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(self.options.close_timeout):
                    await writer.wait_closed()
            writer.transport.abort()

    async def _route(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if request.path == TRAP:
            self.call_log.counters["redirects_followed"] += 1
        if request.path in ENDPOINTS and request.upgrades:
            await self._dialled(request, reader, writer)
            return
        answer = self._rest.answer(request)
        if answer is None and (request.path + "/").startswith(PREFIX + "/"):
            answer = await self._control_api.answer(request)
        if answer is None and request.path in ENDPOINTS:
            answer = problem(400, "This is a WebSocket endpoint")
        await _write(writer, answer or problem(404, "Not found"))

    async def _dialled(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.call_log.counters["dials"] += 1
        order = self.switch.take()
        protocol = ServerProtocol(max_size=4 * self.options.max_message, logger=SILENT)
        socket = VendorSocket(reader, writer, protocol, close_timeout=self.options.close_timeout)
        if order is not None and FAULTS[order.name].early:
            self.call_log.counters[f"fault_{order.name}"] += 1
            if await self._spoil(order, socket, reader, writer):
                return
        protocol.receive_data(request.head)
        handshakes = protocol.events_received()
        if not handshakes or not isinstance(handshakes[0], Handshake):
            await _write(writer, problem(400, "Bad handshake"))
            return
        protocol.send_response(protocol.accept(handshakes[0]))
        await socket.flush()
        if socket.is_open:
            await self._converse(request, socket, order)

    async def _converse(
        self, request: Request, socket: VendorSocket, order: FaultSpec | None
    ) -> None:
        endpoint, parameter = ENDPOINTS[request.path]
        secret = request.query.get(parameter, "")
        record = Record(str(uuid.uuid4()), endpoint, time.monotonic())
        self.call_log.open(record)
        conversation = Conversation(
            socket,
            record,
            self.call_log,
            self.options,
            FrameVariants(next(self._index), plain=self.options.plain),
            self._agents,
            secret=secret,
            order=None if order is None or FAULTS[order.name].early else order,
        )
        refusal = self._refusal(endpoint, secret, order)
        if refusal is None and self.concurrency.is_full:
            self.call_log.counters["over_the_limit"] += 1
            refusal = EXCEEDED
        if refusal is not None:
            await conversation.run(refusal)
            return
        with self.concurrency.counted() as leave:
            socket.on_ending = leave
            await conversation.run()

    def _refusal(self, endpoint: str, secret: str, order: FaultSpec | None) -> str | None:
        """Say what an error frame shall say at once, if anything."""
        if not secret:
            return "Missing token"
        key = self.options.api_key
        valid = (
            secrets.compare_digest(secret.encode(), key.encode())
            if endpoint == "dev"
            else self.tokens.valid(secret)
        )
        if not valid:
            self.call_log.counters["bad_credentials"] += 1
            return "Invalid token"
        return SPOKEN_REFUSALS.get(order.name) if order else None

    async def _spoil(
        self,
        order: FaultSpec,
        socket: VendorSocket,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        """Strike a dial; false if it goes on to the upgrade."""
        match order.name:
            case "refuse":
                await _write(writer, problem(int(order.params.get("status", 403)), "Refused"))
            case "redirect":
                port = writer.get_extra_info("sockname")[1]
                target = f"ws://{self.options.host}:{port}{TRAP}"
                await _write(writer, Answer(307, None, (("Location", target),)))
            case "hang":
                while await reader.read(1024):
                    pass
            case "rst_on_dial":
                socket.reset()
            case _:
                return False
        return True


async def _write(writer: asyncio.StreamWriter, answer: Answer) -> None:
    with suppress(OSError):
        writer.write(answer.encode())
        await writer.drain()
