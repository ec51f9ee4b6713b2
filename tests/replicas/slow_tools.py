"""A tool that takes its time, for RELAY_TOOLS."""

from __future__ import annotations

import asyncio

from app.tools import tool


@tool
async def check_slowly(order_number: str) -> dict[str, str]:
    """Look up an order, in some seconds."""
    await asyncio.sleep(4.5)
    return {"found": order_number}
