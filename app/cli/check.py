"""`check`: validate the configuration, and print it with secrets masked."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from app.cli.status import DOTENV, FINE
from app.cli.tenant_rows import HEAD, tenant_rows
from app.cli.text_table import table
from app.settings import Settings, adopt, load
from app.telemetry.logs import Redactor, configure

if TYPE_CHECKING:
    import argparse


def check_command(arguments: argparse.Namespace) -> int:
    """Print the effective configuration. Raises ConfigurationError."""
    adopt("OTEL_", DOTENV)
    from app.bootstrap.application import build  # noqa: PLC0415 - after OTEL_*

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
