"""`blackbox-relay chat`: talk to an agent from the shell, with its tools and events shown."""

from __future__ import annotations

import asyncio
import signal
import sys
from time import monotonic
from typing import TYPE_CHECKING, Final

from app.cli.conversing.conversation import conversing
from app.cli.conversing.gateway import SUBJECT, GatewayFailed, chosen, variables
from app.cli.conversing.observed import Closed, Text, ToolAnswer, ToolCall
from app.cli.screen import NORMAL, Screen
from app.cli.standard_input import lines
from app.cli.terminal import DIM, printable
from app.network.loop import Loop

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping
    from pathlib import Path

    from app.cli.conversing.conversation import Conversation
    from app.cli.conversing.observed import Observed

FINE, FAILED = 0, 1
SETTLE: Final = 1.0
"""Seconds of silence after which an answer to piped input counts as over."""
PATIENCE: Final = 30.0
"""Seconds that an answer to piped input is waited for."""
HANG_UP_WITHIN: Final = 5.0
NO_PAGE: Final = {
    "error": {"code": "no_page", "message": "The user is at a terminal, which has no such tool."}
}


def run(arguments: argparse.Namespace, dotenv: Path) -> int:
    """Run the command; return its exit status. Raises `ConfigurationError`."""
    with asyncio.Runner(loop_factory=Loop) as runner:
        try:
            return runner.run(_chat(arguments, variables(dotenv)))
        except GatewayFailed as failed:
            print(f"error: {failed}", file=sys.stderr)
            return FAILED


async def _chat(arguments: argparse.Namespace, known: Mapping[str, str]) -> int:
    gateway = chosen(arguments.url, known)
    credential = arguments.ticket or await gateway.ticket(arguments.agent, SUBJECT, {})
    screen = Screen(sys.stdout)
    async with conversing(gateway, arguments.agent, credential) as conversation:
        return await _Chat(conversation, screen).run()


class _Chat:
    """One conversation with a person, or with what was piped in."""

    def __init__(self, conversation: Conversation, screen: Screen) -> None:
        self._conversation = conversation
        self._screen = screen
        self._is_person = sys.stdin.isatty()
        self._last_heard = monotonic()
        self._heard = 0

    async def run(self) -> int:
        """Talk until either side ends it; return the exit status."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        listening = asyncio.create_task(self._listen(), name="chat:listen")
        talking = asyncio.create_task(self._talk(), name="chat:talk")
        stopping = asyncio.create_task(stop.wait(), name="chat:stop")
        try:
            await asyncio.wait((listening, talking, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not listening.done():
                await self._conversation.hang_up()
                await asyncio.wait((listening,), timeout=HANG_UP_WITHIN)
            if not listening.done():
                self._screen.line("The gateway did not confirm the end.")
                return FAILED
            return FINE if listening.result().code == NORMAL else FAILED
        finally:
            for task in (listening, talking, stopping):
                task.cancel()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    async def _listen(self) -> Closed:
        """Show what happens, to the end."""
        while True:
            seen = await self._conversation.next(None)
            self._screen.show(seen)
            if isinstance(seen, Closed):
                return seen
            if isinstance(seen, ToolCall) and seen.for_client:
                await self._conversation.answer(seen.id, NO_PAGE)
                self._screen.note(f"[tool] {seen.name}: answered that there is no page", DIM)
            if isinstance(seen, Text | ToolCall | ToolAnswer) and not _is_echo(seen):
                self._last_heard = monotonic()
                self._heard += isinstance(seen, Text)

    async def _talk(self) -> None:
        """Say each line of the input; a person says when, else each waits for its answer."""
        async for line in lines():
            text = line.strip()
            if not text:
                continue
            before = self._heard
            if not self._is_person:
                self._screen.line(f"user: {printable(text)}")
            await self._conversation.say(text)
            if not self._is_person:
                await self._answered(before)

    async def _answered(self, before: int) -> None:
        """Wait until something was answered, and then for silence."""
        until = monotonic() + PATIENCE
        while (now := monotonic()) < until:
            silent = now - self._last_heard
            if self._heard > before and silent >= SETTLE:
                return
            await asyncio.sleep(max(0.05, SETTLE - silent if self._heard > before else 0.05))


def _is_echo(seen: Observed) -> bool:
    return isinstance(seen, Text) and seen.source == "user"
