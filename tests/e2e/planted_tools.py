"""Tools for the test of redaction: what they are told comes back, and is in their result."""

from __future__ import annotations

from typing import Any

from blackbox_relay import ToolError, tool


@tool
async def tell(text: str) -> dict[str, Any]:
    """Say what was said, with its digits as numbers."""
    digits = ["".join(filter(str.isdigit, part)) for part in text.split(", ")]
    return {"said": text, "nested": [{text: True}], "numbers": [int(n) for n in digits if n]}


@tool
async def complain(text: str) -> None:
    """Fail with what was said."""
    raise ToolError(f"there is no {text}")
