"""The command line: options in, a banner out, then serve until Ctrl-C or SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
import textwrap
from typing import TYPE_CHECKING, Final

from app.emulator.agents import AGENTS, summaries
from app.emulator.faults import FAULTS
from app.emulator.options import DEFAULT_AGENTS, DEFAULT_KEY, DEFAULT_TOKEN, Options
from app.emulator.rest import DEV, WEB_CALL
from app.emulator.server import Emulator

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PORT: Final = 8090
PACE: Final = 0.6
WIDTH: Final = 100


def main(argv: Sequence[str] | None = None) -> int:
    """Run the emulator in the foreground. Returns the process's exit status."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=arguments.log_level.upper(), format="%(levelname)s %(message)s")
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(_options(arguments), quiet=arguments.quiet))
    except KeyboardInterrupt:
        pass
    except OSError as exc:
        sys.stderr.write(f"emulator: cannot listen on port {arguments.port}: {exc.strerror}\n")
        return 1
    return 0


def banner(emulator: Emulator, *, color: bool) -> str:
    """Tell a newcomer where to dial, with what, and what there is to play with."""

    def bold(text: str) -> str:
        return f"\x1b[1m{text}\x1b[0m" if color else text

    def dim(text: str) -> str:
        return f"\x1b[2m{text}\x1b[0m" if color else text

    options = emulator.options
    by_agent = {agent: call_type for call_type, agent in options.agents.items()}
    agents = [
        f"    {bold(name.ljust(8))} {dim(by_agent.get(name, '').ljust(8))} {text.rstrip('.')}"
        for name, text in summaries(AGENTS).items()
    ]
    faults = textwrap.wrap("  ".join(FAULTS), WIDTH - 4, break_on_hyphens=False)
    lines = [
        "",
        f"  {bold('BlackBox emulator')}  {dim('the fake vendor, for development and tests')}",
        "",
        f"    dev      {emulator.url}{DEV}?authorization={options.api_key}",
        f"    webCall  {emulator.url}{WEB_CALL}?token={options.token}",
        f"    inside   {emulator.http_url}/emulator/conversations",
        "",
        f"  {bold('Agents')}   {dim('additionalData.agent, else by call type')}",
        *agents,
        "",
        f"  {bold('Faults')}   {dim('additionalData.fault, or POST /emulator/faults')}",
        *(f"    {line}" for line in faults),
        "",
        f"  {dim('Ctrl-C stops it.')}",
        "",
    ]
    return "\n".join(lines)


async def _serve(options: Options, *, quiet: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with Emulator(options) as emulator:
        color = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        text = emulator.url + "\n" if quiet else banner(emulator, color=color)
        sys.stdout.write(text)
        sys.stdout.flush()
        await stop.wait()


def _options(arguments: argparse.Namespace) -> Options:
    agents = dict(DEFAULT_AGENTS)
    if arguments.agent:
        agents = dict.fromkeys(agents, arguments.agent)
    return Options(
        host=arguments.host,
        port=arguments.port,
        api_key=arguments.api_key,
        token=arguments.token,
        agents=agents,
        fault=arguments.fault,
        plain=arguments.plain,
        partials=arguments.partials,
        pace=arguments.pace,
        initialize_timeout=arguments.initialize_timeout,
        max_message=arguments.max_message,
        concurrency=arguments.concurrency,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="blackbox-relay emulator",
        description="The fake vendor: scripted agents, tool calls, voice, faults on demand.",
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    add("--port", type=int, default=PORT, help="port, 0 for a free one (%(default)s)")
    add("--api-key", default=DEFAULT_KEY, help="the key that the dev endpoint takes")
    add("--token", default=DEFAULT_TOKEN, help="a token that webCall always takes")
    add("--agent", choices=sorted(AGENTS), help="agent where initialize names none")
    add("--fault", choices=sorted(FAULTS), metavar="FAULT", help="strike every dial")
    add("--plain", action="store_true", help="one spelling of everything, nothing unknown")
    add("--partials", action="store_true", help="send partial texts before each final one")
    add("--pace", type=float, default=PACE, help="seconds between turns (%(default)s)")
    add("--initialize-timeout", type=float, default=10.0, help="seconds (%(default)s)")
    add("--max-message", type=int, default=256 * 1024, help="bytes (%(default)s)")
    add("--concurrency", type=int, help="most conversations at once (any number)")
    add("--log-level", default="info", choices=["debug", "info", "warning", "error"])
    add("--quiet", action="store_true", help="print the URL alone")
    return parser


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop
