"""Guardrails of tests, by file path and by import path."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from blackbox_relay import GuardrailRequest, Verdict


def sync(request: GuardrailRequest) -> Verdict:
    """Block `bomb`, end at `goodbye`, in a thread."""
    if "goodbye" in request.text:
        return Verdict("end", message="Goodbye.")
    return Verdict("block", message="Not that.") if "bomb" in request.text else Verdict("pass")


async def masking(request: GuardrailRequest) -> dict[str, Any]:
    """Mask `4111`."""
    if "4111" not in request.text:
        return {"action": "pass"}
    return {"action": "mask", "text": request.text.replace("4111", "[card]")}


def slow(_: GuardrailRequest) -> Verdict:
    """Take longer than any test waits for."""
    time.sleep(2)
    return Verdict("pass")


class Asked:
    """An object that is called."""

    async def __call__(self, request: GuardrailRequest) -> Verdict:
        """Pass."""
        await asyncio.sleep(0)
        return Verdict("pass", message=request.direction)


called = Asked()
NOT_CALLABLE = 7
