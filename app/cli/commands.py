"""The `blackbox-relay` command and its subcommands.

Exit status: 0 fine, 2 bad configuration (one line per fault), 1 anything else.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx

from app import __version__
from app.cli.conversing_arguments import (
    add_chat_arguments,
    add_replay_arguments,
    add_test_arguments,
)
from app.cli.emulator_process import emulator_command
from app.cli.quickstart import demo_environment, free_port, welcome
from app.cli.tenant_rows import HEAD, tenant_rows
from app.cli.text_table import table
from app.protocol.errors import ConfigurationError
from app.settings import Settings, adopt, load, reloadable_files, with_source_lines
from app.telemetry.logs import Redactor, configure
from blackbox_relay import exact_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DOTENV: Final = Path(".env")
FINE, FAILED, MISCONFIGURED = 0, 1, 2


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
        for fault in error.faults:
            print(f"error: {fault}", file=sys.stderr)
        return MISCONFIGURED
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

    command("serve", _serve, "serve browsers, configured by RELAY_* variables and .env")
    command("run", _run, "serve; without an API key, with the emulator and the demo page")
    check = command("check", _check, "validate the configuration and print it, secrets masked")
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
    ticket = command("ticket", _ticket, "mint a ticket at a running gateway, for a shell test")
    ticket.add_argument("--url", help="the gateway's address; default: this configuration's")
    ticket.add_argument("--subject", default="shell")
    ticket.add_argument("--agent")
    ticket.add_argument("--call-type")
    ticket.add_argument("--ttl", type=float, default=60.0)
    return parser


def _serve(_: argparse.Namespace) -> int:
    adopt("OTEL_", DOTENV)
    return serve(partial(load, dotenv=DOTENV))


def serve(read: Callable[[], Settings]) -> int:
    """Serve until a signal, drain, and return the exit status; `read` reads the configuration."""
    settings = read()
    gc.disable()  # hardly anything of a start is garbage; the application turns it on when ready
    from app.bootstrap import config  # noqa: PLC0415 - the other commands need not wait for it
    from app.bootstrap.application import build  # noqa: PLC0415
    from app.bootstrap.reload import Reloader, Source  # noqa: PLC0415
    from app.bootstrap.serve import serve as run  # noqa: PLC0415
    from app.network.loop import Loop  # noqa: PLC0415

    redaction = config.redaction(settings)
    redactor = Redactor(settings.secrets, None if redaction is None else redaction.mask)
    configure(settings.log_level, settings.log_format, redactor)
    if settings.allowed_origins and "*" in settings.allowed_origins:
        print("warning: RELAY_ALLOWED_ORIGINS=* lets every page connect", file=sys.stderr)

    async def served() -> None:
        built = build(settings)
        lined = partial(with_source_lines, dotenv=DOTENV)
        source = Source(read, reloadable_files(dotenv=DOTENV), lined)
        reloader = Reloader(built, settings, source, redactor)
        await run(built, settings.host, settings.port, settings.internal_port, reloader)

    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(served())
    return FINE


def _run(_: argparse.Namespace) -> int:
    """Serve like `serve`; without a key, bring an upstream and a page along."""
    adopt("OTEL_", DOTENV)
    given = dict(os.environ)
    host, port = given.get("RELAY_HOST", "127.0.0.1"), int(given.get("PORT", "8000"))
    given.setdefault("RELAY_HOST", host)
    given.setdefault("RELAY_PORT", str(port))
    if _has_key(given):
        read = partial(load, given, DOTENV)
        welcome(read(), emulated=False)
        return serve(read)
    upstream = free_port()
    read = partial(load, {**demo_environment(upstream), **given}, DOTENV)
    settings = read()
    command, environment = emulator_command()
    key = demo_environment(upstream)["RELAY_BLACKBOX_API_KEY"]
    emulator = subprocess.Popen(  # noqa: S603 - our own module, by our own interpreter
        [*command, "--port", str(upstream), "--api-key", key, "--quiet"],
        env=environment,
        stdout=subprocess.DEVNULL,  # its output is not shown
        start_new_session=True,  # Ctrl-C is for the gateway, which ends the emulator after itself
    )
    try:
        welcome(settings, emulated=True)
        return serve(read)
    finally:
        emulator.send_signal(signal.SIGTERM)
        emulator.wait(10)


def _has_key(given: dict[str, str]) -> bool:
    from dotenv import dotenv_values  # noqa: PLC0415

    known = {**(dotenv_values(DOTENV) if DOTENV.is_file() else {}), **given}
    return any(
        known.get(name) for name in ("RELAY_BLACKBOX_API_KEY", "RELAY_BLACKBOX_API_KEY_FILE")
    )


def _check(arguments: argparse.Namespace) -> int:
    adopt("OTEL_", DOTENV)
    from app.bootstrap.application import build  # noqa: PLC0415 - OpenTelemetry reads its variables meanwhile

    settings = load(dotenv=DOTENV)
    build(settings)
    redact = Redactor(settings.secrets)
    rows = []
    for name, field in Settings.model_fields.items():
        value = getattr(settings, name)
        origin = "default" if value == field.get_default(call_default_factory=True) else "set"
        rows.append((f"RELAY_{name.upper()}", origin, redact(_shown(value))))
    print(table(("variable", "from", "value"), rows))
    if settings.tenants:
        shown = [tuple(map(redact, row)) for row in tenant_rows(settings)]
        print(table(HEAD, shown))
    if not arguments.connect:
        return FINE
    from app.cli.doctor import connect_once  # noqa: PLC0415
    from app.network.loop import Loop  # noqa: PLC0415 - dialled as `serve` dials

    configure("warning", "console", redact)
    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(connect_once(settings))


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, tuple):
        return ",".join(str(_name_of(item)) for item in value) or "-"
    if isinstance(value, dict):
        return ", ".join(value) or "-"
    if isinstance(value, list):
        return f"{len(value)} entries" if value else "-"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _name_of(item: Any) -> Any:
    return item.get("name", "") if isinstance(item, dict) else item


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


def _ticket(arguments: argparse.Namespace) -> int:
    settings = load(dotenv=DOTENV)
    if not settings.service_tokens:
        raise ConfigurationError(["RELAY_SERVICE_TOKENS is missing: a ticket needs a bearer"])
    url = arguments.url or f"http://127.0.0.1:{settings.internal_port or settings.port}"
    wanted = {"subject": arguments.subject, "agent": arguments.agent, "ttl": arguments.ttl}
    if arguments.call_type:
        wanted["call_type"] = arguments.call_type
    bearer = settings.service_tokens[0].get_secret_value()
    try:
        with httpx.Client(trust_env=False, timeout=10) as client:
            answer = client.post(
                f"{url.rstrip('/')}/v1/tickets",
                json={name: value for name, value in wanted.items() if value is not None},
                headers={"authorization": f"Bearer {bearer}"},
            )
    except httpx.HTTPError as error:
        print(f"error: no gateway answers at {url} ({type(error).__name__})", file=sys.stderr)
        return FAILED
    if answer.status_code != 201:  # noqa: PLR2004 - Created
        print(f"error: the gateway answered {answer.status_code}: {answer.text}", file=sys.stderr)
        return FAILED
    print(json.dumps(answer.json(), indent=2))
    return FINE
