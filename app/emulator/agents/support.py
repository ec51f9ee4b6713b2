"""The show-piece: a support agent that needs a backend tool and a browser tool."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from app.emulator.call import Call

ORDER_NUMBER: Final = re.compile(r"\b(?:[A-Za-z]{1,4}-?)?\d{3,}(?:-\d+)*\b")
PATIENCE: Final = 3


async def support(call: Call) -> None:
    """Greet, ask for an order number, look it up, show it, sum up from both tools.

    Asks for `check_order_status` with `{order_number}` and for `show_order` with
    `{order_number, order}`. Settings: `pieces` (3), `stay` (serve one order after the other).
    """
    await call.say("Hello, this is the support desk. What is the number of your order?", 3)
    served = 0
    while (number := await _order_number(call)) is not None:
        await call.say(f"One moment, I am looking up order {number}.", 2)
        await call.pause()
        status = await call.tool("check_order_status", {"order_number": number})
        shown = await call.tool("show_order", {"order_number": number, "order": status})
        await call.pause()
        await call.say(_summary(number, status, shown), 3)
        served += 1
        if not call.setting("stay", default=False):
            break
    else:
        await call.say("I could not find your order. Please write to us.", 2)
    call.result |= {"summary": f"{served} order(s) served.", "orders": served}
    await call.say("Thank you for calling. Goodbye!")


async def _order_number(call: Call) -> str | None:
    """Hear the user until a text holds an order number, a few times at most."""
    for attempt in range(PATIENCE):
        found = ORDER_NUMBER.search(await call.hear())
        if found:
            return found[0]
        if attempt < PATIENCE - 1:
            await call.say("I need the order number, for example 1001.", 2)
    return None


def _summary(number: str, status: object, shown: object) -> str:
    told = (
        f"Order {number} could not be looked up: {_spoken(status)}."
        if _failed(status)
        else f"Order {number}: {_spoken(status)}."
    )
    seen = (
        "I could not show it on your screen."
        if _failed(shown)
        else f"Your screen says: {_spoken(shown)}."
    )
    return f"{told} {seen}"


def _failed(result: object) -> bool:
    return isinstance(result, dict) and "error" in result


def _spoken(value: object) -> str:
    """Say JSON aloud, the parts that have a name by their name."""
    if isinstance(value, dict) and _failed(value):
        error = value["error"]
        return str(error.get("message", error) if isinstance(error, dict) else error).rstrip(".")
    if isinstance(value, dict):
        told = {_words(key): part for key, part in value.items() if not _taken_as_read(key, part)}
        return ", ".join(f"{key} {_spoken(part)}" for key, part in told.items())
    if isinstance(value, list):
        return " and ".join(_spoken(part) for part in value)
    return "nothing" if value is None else str(value)


def _taken_as_read(key: str, value: object) -> bool:
    """Members that are not spoken: that an order was found, and its number once more."""
    return value is True or _words(key) == "order number"


def _words(key: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", key).replace("_", " ").lower()
