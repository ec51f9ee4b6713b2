"""Support agents with a planted fault, which `additionalData.flaw` names."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from app.emulator.agents.support import support

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.emulator.call import Call


async def flawed_support(call: Call) -> None:
    """The emulator's support agent, with what goes wrong put between it and its call."""
    flaw = call.setting("flaw", "")
    if flaw == "ends_early":
        await call.say("Hello, this is the support desk. What is the number of your order? Bye!")
        return
    if flaw:
        FLAWS[flaw](call)
    await support(call)
    if flaw == "never_ends":
        await asyncio.Event().wait()


def _saying(call: Call, change: Callable[[str], str]) -> None:
    say = call.say

    async def changed(turn: str, pieces: int = 1, **extra: object) -> None:
        if told := change(turn):
            await say(told, pieces, **extra)

    call.say = changed  # type: ignore[method-assign]


def _asking(call: Call, change: Callable[[str, Any], tuple[str, Any] | None]) -> None:
    ask = call.tool

    async def changed(
        name: str, args: object, call_id: str | None = None, within: float | None = None
    ) -> object:
        asked = change(name, args)
        if asked is None:
            return {"status": "shipped", "carrier": "DHL", "shown": True}
        return await ask(*asked, call_id, within)

    call.tool = changed  # type: ignore[method-assign]


def _late(call: Call) -> None:
    say = call.say

    async def late(turn: str, pieces: int = 1, **extra: object) -> None:
        await asyncio.sleep(3.5 if turn.startswith("I need") else 0.0)
        await say(turn, pieces, **extra)

    call.say = late  # type: ignore[method-assign]


def _goes_on(call: Call) -> None:
    """A sentence more, after what would have been right."""
    say = call.say

    async def longer(turn: str, pieces: int = 1, **extra: object) -> None:
        await say(turn, pieces, **extra)
        if turn.startswith("I need"):
            await asyncio.sleep(0.1)
            await say(" Hurry up!")

    call.say = longer  # type: ignore[method-assign]


def _silent(call: Call) -> None:
    _saying(call, lambda turn: "" if turn.startswith("I need") else turn)


def _bad_status(call: Call) -> None:
    call.result["status"] = "Failed"


FLAWS: dict[str, Callable[[Call], None]] = {
    "wrong_text": lambda call: _saying(call, lambda t: t.replace("for example 1001", "quick")),
    "forbidden_text": lambda call: _saying(call, lambda t: t.replace("One moment", "I could not")),
    "wrong_greeting": lambda call: _saying(call, lambda t: t.replace("number", "colour")),
    "goes_on": _goes_on,
    "late": _late,
    "silent": _silent,
    "missing_tool": lambda call: _asking(
        call, lambda n, a: None if n == "check_order_status" else (n, a)
    ),
    "missing_page_tool": lambda call: _asking(
        call, lambda n, a: None if n == "show_order" else (n, a)
    ),
    "other_tool": lambda call: _asking(call, lambda n, a: (n.replace("check", "cancel"), a)),
    "wrong_args": lambda call: _asking(call, lambda n, a: (n, {**a, "order_number": "A-1002"})),
    "args_as_list": lambda call: _asking(call, lambda n, a: (n, list(a))),
    "null_args": lambda call: _asking(call, lambda n, _: (n, None)),
    "repeats": lambda call: _saying(call, lambda t: f"{t} {t}"),
    "shouts": lambda call: _saying(call, str.upper),
    "never_ends": lambda _: None,
    "bad_status": _bad_status,
}
