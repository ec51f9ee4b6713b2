"""Guardrails to begin with, as in the README: RELAY_GUARDRAILS names them by `module:function`."""

from __future__ import annotations

from typing import Final

from app.protocol.redaction import Redaction
from blackbox_relay import GuardrailRequest, Verdict

NUMBERS: Final = Redaction(("card", "iban"))
PROMISES: Final = ("guarantee", "full refund")


async def mask_numbers(request: GuardrailRequest) -> Verdict:
    """Keep card and account numbers from the agent."""
    if request.direction in {"tool_args", "tool_result"}:
        masked = NUMBERS.mask_json(request.text.encode()).decode()
    else:
        masked = NUMBERS.mask(request.text)
    return Verdict("pass") if masked == request.text else Verdict("mask", masked)


def no_promises(request: GuardrailRequest) -> Verdict:
    """Let the agent promise nothing; a function that is not async runs in a thread."""
    if any(word in request.text.lower() for word in PROMISES):
        return Verdict("block", message="Please ask our staff about that.")
    return Verdict("pass")
