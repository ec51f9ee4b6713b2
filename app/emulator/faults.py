"""Faults on demand: each a name, when it strikes, what it does, and the few lines that do it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol

from websockets.frames import Opcode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from app.emulator.call import Call
    from app.emulator.socket import VendorSocket

KIB: Final = 1024


class FaultTarget(Protocol):
    """What a fault may lay hands on: the socket, the secret that dialled, the power of speech."""

    socket: VendorSocket
    secret: str
    mute: bool

    def mark_faulted(self) -> None:
        """Note that the end which now comes is the fault's doing."""
        ...


@dataclass(frozen=True, slots=True)
class Fault:
    """A way to misbehave. `early` ones strike before initialize, so only the switch sets them."""

    name: str
    meaning: str
    strike: Callable[[FaultTarget, Call], Awaitable[None]] | None = None

    @property
    def early(self) -> bool:
        """Whether it strikes while a client dials."""
        return self.strike is None


@dataclass(slots=True)
class FaultSpec:
    """The switch: strike the next `count` dials (all of them if `None`) with this fault."""

    name: str
    count: int | None = 1
    params: Mapping[str, Any] = field(default_factory=dict)


class FaultInjection:
    """Waits until the agent has sent `after` texts, then strikes once."""

    def __init__(self, fault: Fault, target: FaultTarget, call: Call, after: int) -> None:
        self._fault = fault
        self._target = target
        self._call = call
        self._after = after
        self._struck = False

    async def spoken(self, count: int) -> None:
        """Hear that the agent has sent `count` texts; 0 is right after the connection event."""
        if self._struck or count < self._after or self._fault.strike is None:
            return
        self._struck = True
        await self._fault.strike(self._target, self._call)


async def _silence(target: FaultTarget, _: Call) -> None:
    target.mute = True
    await asyncio.Event().wait()


async def _freeze(target: FaultTarget, call: Call) -> None:
    target.mute = True
    await target.socket.freeze(call.setting("faultSeconds", 60.0))
    await asyncio.Event().wait()


async def _rst(target: FaultTarget, _: Call) -> None:
    target.mark_faulted()
    target.socket.reset()


async def _drop(target: FaultTarget, _: Call) -> None:
    target.mark_faulted()
    target.socket.drop()


async def _close(target: FaultTarget, call: Call) -> None:
    target.mark_faulted()
    await target.socket.close(call.setting("closeCode", 1011), call.setting("closeReason", "bye"))


async def _failed_open(target: FaultTarget, call: Call) -> None:
    await call.event("failedOpen", {"reason": call.setting("reason", "The line is busy")})
    target.mark_faulted()
    await target.socket.close(1000)


async def _too_large(target: FaultTarget, call: Call) -> None:
    await call.send({"type": "error", "data": {"message": "Too large message"}})
    target.mark_faulted()
    await target.socket.close(1009)


async def _close_with_key(target: FaultTarget, call: Call) -> None:
    text = f"key {target.secret} was revoked (authorization={target.secret})"
    await call.send({"type": "error", "data": {"message": text}})
    target.mark_faulted()
    await target.socket.close(1008, text)


async def _flood(_: FaultTarget, call: Call) -> None:
    text = "flood " * (call.setting("faultBytes", KIB) // 6)
    for number in range(call.setting("faultCount", 20_000)):
        await call.say(text, number=number)


async def _oversize(_: FaultTarget, call: Call) -> None:
    await call.say("x" * call.setting("faultBytes", 2 * KIB * KIB))


async def _malformed_json(target: FaultTarget, _: Call) -> None:
    await target.socket.send_frame(b'{"type":"text","content":{"source":"assistant","te')


async def _odd_json(target: FaultTarget, _: Call) -> None:
    for text in ODD_JSON:
        await target.socket.send_frame(text)


async def _binary(target: FaultTarget, _: Call) -> None:
    await target.socket.send_frame(bytes(range(256)), Opcode.BINARY)


async def _bad_utf8(target: FaultTarget, _: Call) -> None:
    await target.socket.send_frame(b'{"type":"text","content":"\xff\xfe\xed\xa0\x80"}')


async def _fragments(target: FaultTarget, call: Call) -> None:
    target.socket.fragment = call.setting("faultBytes", 7)


async def _endless_fragments(target: FaultTarget, call: Call) -> None:
    await target.socket.send_frame(b'{"type":"text"', fin=False)
    for _ in range(call.setting("faultCount", 100_000)):
        await target.socket.send_frame(b"", Opcode.CONT, fin=False)


async def _ping_flood(target: FaultTarget, call: Call) -> None:
    for number in range(call.setting("faultCount", 20_000)):
        await target.socket.send_frame(number.to_bytes(4, "big") * 31, Opcode.PING)


async def _no_pong(target: FaultTarget, _: Call) -> None:
    target.socket.answer_pings = False


async def _slow_reader(target: FaultTarget, call: Call) -> None:
    target.socket.read_slowly(call.setting("faultBytes", 256))


async def _duplicate_tool_id(_: FaultTarget, call: Call) -> None:
    name, args = call.setting("tool", "check_order_status"), {"order_number": "1001"}
    first, second = await asyncio.gather(
        call.tool(name, args, "call_twice"), call.tool(name, args, "call_twice", within=2.0)
    )
    await call.say(f"duplicate_tool_id: {first} {second}")


async def _unknown_tool(_: FaultTarget, call: Call) -> None:
    await call.say(f"unknown_tool: {await call.tool('no_such_tool', {'a': 1})}")


async def _bad_args(_: FaultTarget, call: Call) -> None:
    name = call.setting("tool", "check_order_status")
    for args in ({"order_number": {"not": ["a", "string"]}, "extra": 1}, None, "a string", [1]):
        await call.say(f"bad_args: {await call.tool(name, args)}")


async def _drop_after_closed(_: FaultTarget, call: Call) -> None:
    call.drop_at_end = True


ODD_JSON: Final = (
    b"[]",
    b'"text"',
    b"null",
    b"{}",
    b'{"type":7}',
    b'{"type":"text","type":"error"}',
    b'{"type":"text","content":{"text":NaN,"n":1e999}}',
    b'{"type":"text","content":{"source":"assistant","text":"\\ud800"}}',
    b'{"type":"text","content":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
)

_ALL: Final = (
    Fault("refuse", "answers the handshake with HTTP `status` (403)"),
    Fault("redirect", "answers the handshake with 307 to `/emulator/trap`, which counts followers"),
    Fault("hang", "takes the TCP connection and never answers the handshake"),
    Fault("rst_on_dial", "resets the TCP connection instead of answering the handshake"),
    Fault("not_enabled", 'opens, says "Web integration is not enabled", closes'),
    Fault("origin_not_allowed", 'opens, says "Origin not allowed", closes'),
    Fault("concurrent_limit", 'opens, says "Concurrent limit exceeded", closes'),
    Fault("invalid_token", 'opens, says "Invalid token", closes'),
    Fault("missing_token", 'opens, says "Missing token", closes'),
    Fault("drop_on_open", "opens, and ends the TCP stream without a close frame: 1006", _drop),
    Fault("drop_on_initialize", "ends the TCP stream when initialize came: 1006", _drop),
    Fault("failed_open", "sends the event failedOpen with `reason`, closes", _failed_open),
    Fault("too_large", 'says "Too large message", closes with 1009', _too_large),
    Fault("accept_silent", "opens and never says a word", _silence),
    Fault("stall", "falls silent; pings are still answered", _silence),
    Fault("freeze", "neither reads nor writes for `faultSeconds` (60), as if stopped", _freeze),
    Fault("rst", "resets the TCP connection", _rst),
    Fault("drop", "ends the TCP stream without a close frame: 1006", _drop),
    Fault("close", "closes with `closeCode` (1011) and `closeReason`", _close),
    Fault(
        "close_with_key", "puts the credential into error text and close reason", _close_with_key
    ),
    Fault("flood", "sends `faultCount` (20,000) texts of `faultBytes` (1 KiB) at once", _flood),
    Fault("oversize", "sends one text of `faultBytes` (2 MiB)", _oversize),
    Fault("malformed_json", "sends half a JSON object, and goes on", _malformed_json),
    Fault("odd_json", "sends no objects, no type, doubled keys, NaN, 100,000 levels", _odd_json),
    Fault("binary", "sends a binary frame, and goes on", _binary),
    Fault("bad_utf8", "sends a text frame that is not UTF-8", _bad_utf8),
    Fault("fragments", "sends every frame in pieces of `faultBytes` (7) from then on", _fragments),
    Fault(
        "endless_fragments", "sends `faultCount` (100,000) empty continuations", _endless_fragments
    ),
    Fault("ping_flood", "sends `faultCount` (20,000) pings at once", _ping_flood),
    Fault("no_pong", "answers no ping from then on", _no_pong),
    Fault(
        "slow_reader", "reads `faultBytes` (256) every quarter second from then on", _slow_reader
    ),
    Fault("duplicate_tool_id", "asks for a tool again under the same id", _duplicate_tool_id),
    Fault("unknown_tool", "asks for the tool `no_such_tool`", _unknown_tool),
    Fault("bad_args", "asks for `tool` with args of four wrong shapes", _bad_args),
    Fault(
        "drop_after_closed", "ends normally, but without a close frame: 1006", _drop_after_closed
    ),
)

FAULTS: Final[Mapping[str, Fault]] = MappingProxyType({fault.name: fault for fault in _ALL})
