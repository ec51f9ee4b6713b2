"""What a guardrail in Python is asked, and what it answers.

    from blackbox_relay import GuardrailRequest, Verdict

    def no_discounts(request: GuardrailRequest) -> Verdict:
        if "discount" in request.text:
            return Verdict("block", message="I cannot speak about discounts.")
        return Verdict("pass")

A function, synchronous (it runs in a thread) or not, is named in `RELAY_GUARDRAILS` as
`module:function` or `./file.py:function`. A dictionary with the same members will do for a
`Verdict`. What raises, takes too long or answers anything else is handled as `on_error` says.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

On = Literal["user", "agent", "tool_args", "tool_result"]
Action = Literal["pass", "mask", "block", "end"]


@dataclass(frozen=True, slots=True)
class GuardrailRequest:
    """One text to be judged.

    `direction` is what it is: what a user wrote (`user`), what the agent has said in its present
    turn up to now (`agent`), or JSON: the arguments of a tool (`tool_args`), or its result
    (`tool_result`); then `tool` is its name. `partial`: of an agent's text that is not final.
    """

    session_id: str
    agent: str
    direction: On
    text: str = field(repr=False)
    tool: str | None = None
    partial: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be done with a text.

    `pass` lets it through; `mask` replaces it by `text`; `block` drops it and tells `message`, to
    the page, or to the agent if it is a tool's; `end` ends the session, with `message` to the page.
    """

    action: Action
    text: str | None = field(default=None, repr=False)
    message: str | None = None
