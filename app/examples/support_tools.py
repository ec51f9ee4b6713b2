"""The tools of the demo's support agent: RELAY_TOOLS=app.examples.support_tools."""

from __future__ import annotations

from typing import Any, Final

from app.tools import ToolContext, tool

ORDERS: Final[dict[str, dict[str, str | None]]] = {
    "A-1001": {"status": "shipped", "carrier": "DHL", "expected": "tomorrow"},
    "A-1002": {"status": "packed", "carrier": None, "expected": "in two days"},
    "A-1003": {"status": "delivered", "carrier": "UPS", "expected": None},
    "A-1004": {"status": "returned", "carrier": "DHL", "expected": None},
}


@tool
async def check_order_status(order_number: str, ctx: ToolContext) -> dict[str, Any]:
    """Look up an order. Use when the customer asks where an order is.

    Args:
        order_number: The order's number, such as A-1001.
    """
    number = order_number.strip().upper().lstrip("#")
    if number.isdigit():
        number = f"A-{number}"
    # A backend would look only at the orders of `ctx.principal.subject`: who asks is verified.
    order = ORDERS.get(number)
    if order is None:
        return {"found": False, "orderNumber": number, "callType": ctx.call_type.value}
    return {"found": True, "orderNumber": number, **order}
