"""`serve` and `run`: the gateway in this process."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING

from structlog.contextvars import bind_contextvars

from app.cli.emulator_process import emulator_command
from app.cli.quickstart import demo_environment, free_port, welcome
from app.cli.status import DOTENV, FINE, misconfigured
from app.protocol.errors import ConfigurationError
from app.settings import Settings, adopt, load, reloadable_files, with_source_lines
from app.telemetry.logs import Redactor, configure

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from app.bootstrap.reload import Source
    from app.bootstrap.worker import Worker


def serve_command(_: argparse.Namespace) -> int:
    """Serve, configured by the environment and `.env`. Raises ConfigurationError."""
    adopt("OTEL_", DOTENV)
    return serve(partial(load, dotenv=DOTENV))


def serve(read: Callable[[], Settings]) -> int:
    """Serve until a signal, drain, and return the exit status; `read` reads the configuration."""
    settings = read()
    gc.disable()  # hardly anything of a start is garbage; the application turns it on when ready
    if settings.allowed_origins and "*" in settings.allowed_origins:
        print("warning: RELAY_ALLOWED_ORIGINS=* lets every page connect", file=sys.stderr)
    from app.bootstrap.reload import Source  # noqa: PLC0415 - the other commands need not wait

    files, lined = reloadable_files(dotenv=DOTENV), partial(with_source_lines, dotenv=DOTENV)
    if settings.workers == 1:
        _serve_here(settings, Source(read, files, lined))
        return FINE
    from app.bootstrap.workers import serve_workers  # noqa: PLC0415 - only where there are some

    def work(settings: Settings, worker: Worker) -> int:
        from app.bootstrap.worker import settings_of  # noqa: PLC0415

        bind_contextvars(worker=worker.number)
        # The supervisor looks at files, for all workers at once.
        source = Source(lambda: settings_of(read(), worker), (), lined)
        try:
            _serve_here(settings_of(settings, worker), source, worker)
        except ConfigurationError as error:
            return misconfigured(error)
        return FINE

    _configure_logs(settings)
    return serve_workers(settings, Source(read, files, lined), work)


def _serve_here(settings: Settings, source: Source, worker: Worker | None = None) -> None:
    """Serve in this process."""
    from app.bootstrap.application import build  # noqa: PLC0415 - the other commands need not wait
    from app.bootstrap.reload import Reloader  # noqa: PLC0415
    from app.bootstrap.serve import serve as run  # noqa: PLC0415
    from app.network.loop import Loop  # noqa: PLC0415

    redactor = _configure_logs(settings)

    async def served() -> None:
        built = build(settings, worker)
        reloader = Reloader(built, settings, source, redactor)
        await run(built, settings.host, settings.port, settings.internal_port, reloader, worker)

    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(served())


def _configure_logs(settings: Settings) -> Redactor:
    from app.bootstrap import config  # noqa: PLC0415 - see above

    redaction = config.redaction(settings)
    redactor = Redactor(settings.secrets, None if redaction is None else redaction.mask)
    configure(settings.log_level, settings.log_format, redactor)
    return redactor


def run_command(_: argparse.Namespace) -> int:
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
