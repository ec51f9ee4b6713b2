"""Tools for the end-to-end tests: RELAY_TOOLS=tests.e2e.shop."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from app.tools import ToolContext, tool

SECRET = "canary-exception-text-77ab"


@tool
async def who_asks(ctx: ToolContext) -> dict[str, Any]:
    """Say for whom it runs."""
    return {
        "session": ctx.session_id,
        "agent": ctx.agent,
        "callType": ctx.call_type.value,
        "subject": ctx.principal.subject,
        "additionalData": dict(ctx.additional_data),
    }


@tool
async def order(order_number: str) -> dict[str, str]:
    """Answer at once."""
    return {"order": order_number}


@tool
def slow_order(order_number: str) -> str:
    """Block a thread for a while."""
    time.sleep(0.3)
    return f"slow {order_number}"


@tool
async def nap(order_number: str) -> str:
    """Take half a second, and say when it began: eight may nap at once."""
    began = time.monotonic()
    await asyncio.sleep(0.5)
    return f"{order_number} {began:.6f} {time.monotonic():.6f}"


@tool
async def crash(order_number: str) -> str:
    """Raise what nobody may read."""
    raise RuntimeError(f"{SECRET} {order_number}")


@tool
def crash_in_a_thread(order_number: str) -> str:
    """Raise it in a thread."""
    raise ValueError(f"{SECRET} {order_number}")


@tool
async def never(order_number: str) -> str:
    """Never answer."""
    await asyncio.Event().wait()
    return order_number


@tool
def never_in_a_thread(order_number: str) -> str:
    """Keep a thread longer than any time-out of the tests."""
    time.sleep(8)
    return order_number


@tool
async def stubborn(order_number: str) -> str:
    """Ignore its cancellation for a while."""
    until = time.monotonic() + 8
    while (left := until - time.monotonic()) > 0:
        try:
            await asyncio.sleep(left)
        except asyncio.CancelledError:
            continue
    return order_number


@tool
async def not_json(order_number: str) -> Any:
    """Answer what JSON cannot say."""
    return {order_number: object()}
