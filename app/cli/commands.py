"""The `blackbox-relay` command and its subcommands.

Exit status: 0 fine, 2 bad configuration (one line per fault), 1 anything else.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from app import __version__
from app.cli.check import check_command
from app.cli.conversing_arguments import (
    add_chat_arguments,
    add_replay_arguments,
    add_test_arguments,
)
from app.cli.emulator_process import emulator_command
from app.cli.serving import run_command, serve_command
from app.cli.status import DOTENV, FAILED, FINE, misconfigured
from app.cli.text_table import table
from app.cli.ticket import ticket_command
from app.protocol.errors import ConfigurationError
from app.settings import load
from blackbox_relay import exact_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status."""
    given = list(sys.argv[1:] if argv is None else argv)
    if given[:1] == ["emulator"]:  # its options are its own
        return _emulator(given[1:])
    arguments = _parser().parse_args(given)
    command: Callable[[argparse.Namespace], int] = arguments.command
    try:
        return command(arguments)
    except ConfigurationError as error:
        return misconfigured(error)
    except KeyboardInterrupt:
        return FINE


class _Version(argparse.Action):
    """Says which version this is, and whether its way of a frame is compiled."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str) -> None:  # noqa: A002
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from app.websocket.compiled import COMPILED  # noqa: PLC0415 - only this needs it

        build = "compiled" if COMPILED else "not compiled"
        print(f"{parser.prog} {__version__} ({build})")
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="blackbox-relay", description="The gateway between browsers and Dasha BlackBox agents."
    )
    parser.add_argument("--version", action=_Version, help="print the version, and the build")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], int], text: str) -> Any:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(command=run)
        return added

    command("serve", serve_command, "serve browsers, configured by RELAY_* variables and .env")
    command("run", run_command, "serve; without an API key, with the emulator and the demo page")
    check = command(
        "check", check_command, "validate the configuration and print it, secrets masked"
    )
    check.add_argument(
        "--connect", action="store_true", help="dial every store, key set, tool and vendor, too"
    )
    doctor = command("doctor", _doctor, "dial upstream and the gateway; measure; explain")
    doctor.add_argument("--url", help="the gateway's public URL, as browsers use it")
    doctor.add_argument(
        "--tickets", metavar="URL", help="where tickets are minted, if that is not public"
    )
    doctor.add_argument(
        "--watch", type=float, default=75.0, help="seconds to watch an idle socket (default 75)"
    )
    tools = command("tools", _tools, "list the registered tools, or call one")
    actions = tools.add_subparsers(required=True, dest="action", metavar="ACTION")
    actions.add_parser("list", help="list them")
    call = actions.add_parser("call", help="call one")
    call.add_argument("name")
    call.add_argument("--args", default="{}", help="its arguments as JSON")
    add_chat_arguments(command("chat", _talk, "talk to an agent from the shell"))
    add_replay_arguments(
        command("replay", _replay, "run a recorded chat's browser side again, and compare")
    )
    add_test_arguments(
        command("test", _test, "play scenarios against an agent, and say what is different")
    )
    command("emulator", lambda _: FINE, "run the fake vendor alone (--port and more: --help)")
    ticket = command(
        "ticket", ticket_command, "mint a ticket at a running gateway, for a shell test"
    )
    ticket.add_argument("--url", help="the gateway's address; default: this configuration's")
    ticket.add_argument("--subject", default="shell")
    ticket.add_argument("--agent")
    ticket.add_argument("--call-type")
    ticket.add_argument("--ttl", type=float, default=60.0)
    return parser


def _tools(arguments: argparse.Namespace) -> int:
    from app.cli.tool_commands import call, rows  # noqa: PLC0415

    settings = load(dotenv=DOTENV)
    if arguments.action == "list":
        print(table(("tool", "from", "what for"), asyncio.run(rows(settings))))
        return FINE
    try:
        args = exact_json.loads_all(arguments.args.encode()) if arguments.args.strip() else None
    except ValueError:
        print("error: --args is not valid JSON", file=sys.stderr)
        return FAILED
    result = asyncio.run(call(settings, arguments.name, args))
    print(json.dumps(result.result, indent=2, ensure_ascii=False))
    return FINE if result.outcome.value in {"ok", "fallback"} else FAILED


def _doctor(arguments: argparse.Namespace) -> int:
    from app.cli.doctor import run_checks  # noqa: PLC0415
    from app.network.loop import Loop  # noqa: PLC0415 - dialled as `serve` dials

    settings = load(dotenv=DOTENV)
    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(run_checks(settings, arguments.url, arguments.watch, arguments.tickets))


def _emulator(rest: Sequence[str]) -> int:
    command, environment = emulator_command()
    os.execve(sys.executable, [*command, *rest], environment)  # noqa: S606


def _talk(arguments: argparse.Namespace) -> int:
    from app.cli.chat import run  # noqa: PLC0415

    return run(arguments, DOTENV)


def _replay(arguments: argparse.Namespace) -> int:
    from app.cli.replay import run  # noqa: PLC0415

    return run(arguments, DOTENV)


def _test(arguments: argparse.Namespace) -> int:
    from app.cli.scenarios.command import run  # noqa: PLC0415

    return run(arguments, DOTENV)
