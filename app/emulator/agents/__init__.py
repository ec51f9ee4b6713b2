"""The scripted agents, one file each: a coroutine that takes a `Call` and talks to its end."""

from __future__ import annotations

import inspect
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from app.emulator.agents.chatty import chatty
from app.emulator.agents.counter import counter
from app.emulator.agents.echo import echo
from app.emulator.agents.phone import phone
from app.emulator.agents.support import support
from app.emulator.agents.voice import voice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.emulator.conversation import Agent

AGENTS: Final[Mapping[str, Agent]] = MappingProxyType(
    {agent.__name__: agent for agent in (support, echo, voice, phone, counter, chatty)}
)


def summaries(agents: Mapping[str, Agent]) -> dict[str, str]:
    """Describe each agent by the first line of its docstring."""
    return {
        name: (inspect.getdoc(agent) or "no description").splitlines()[0]
        for name, agent in agents.items()
    }
