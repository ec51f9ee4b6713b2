"""`.env.example`, the README's tables and the schema of scenarios, written from the code itself.

`python -m app.cli.generated_docs` writes them anew; a test fails while they differ.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import ByteSize, SecretStr

from app.cli.scenarios.schema import PATH as SCHEMA
from app.cli.scenarios.schema import schema_text
from app.protocol.close_codes import CLOSE_REASONS
from app.settings.model import PREFIX, Settings
from app.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

KIB: Final = 1024
HEAD: Final = """\
# Every variable of Blackbox Relay, with its default. Copy to .env and uncomment what you change.
# `make run` and `blackbox-relay serve` read .env where the environment itself says nothing.
# Any variable X can come from a file: set X_FILE to its path. Durations are seconds, sizes bytes.
"""
TAIL: Final = """\
# OpenTelemetry's own variables are taken as they are. Traces are exported where an endpoint is set,
# by OTLP over HTTP (http/protobuf): the collector's port 4318, not 4317. The service's name, its
# attributes and the sampler are yours; an unreachable collector delays the exit by 2 s at most.
#OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318
#OTEL_SERVICE_NAME=blackbox-relay
#OTEL_RESOURCE_ATTRIBUTES=deployment.environment=production
#OTEL_TRACES_SAMPLER=parentbased_traceidratio
#OTEL_TRACES_SAMPLER_ARG=0.1
"""


def shown(field: FieldInfo) -> str:
    """A default as an operator would write it; empty where there is none."""
    value = field.get_default(call_default_factory=True)
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, ByteSize):
        return f"{value // KIB // KIB}MiB" if value % (KIB * KIB) == 0 else f"{value // KIB}KiB"
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, dict):
        return ""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return f"{value:g}" if isinstance(value, float) else str(value)


def env_example() -> str:
    """The text of `.env.example`."""
    blocks = [
        f"# {field.description}\n#{PREFIX}{name.upper()}={shown(field)}\n"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join([HEAD, *blocks, TAIL])


def settings_table() -> str:
    """Every variable."""
    rows = [
        f"| `{PREFIX}{name.upper()}` | {f'`{shown(field)}`' if shown(field) else '-'} "
        f"| {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *rows])


def close_codes_table() -> str:
    """Every close code."""
    rows = [
        f"| {reason.code} | {reason.name} | {reason.message} | {reason.retry.value}"
        f"{', after `retryAfter`' if reason.retry_after else ''} |"
        for reason in CLOSE_REASONS
    ]
    head = ["| code | name | what a page may show | try again |", "|---|---|---|---|"]
    return "\n".join([*head, *rows])


def metrics_table() -> str:
    """Every metric."""
    rows = [
        f"| `{name}` | {kind} | {', '.join(f'`{label}`' for label in labels) or '-'} | {text} |"
        for name, kind, labels, text in Metrics(1).described()
    ]
    return "\n".join(["| metric | kind | labels | meaning |", "|---|---|---|---|", *rows])


TABLES: Final = {
    "settings": settings_table,
    "close codes": close_codes_table,
    "metrics": metrics_table,
}


def with_tables(readme: str) -> str:
    """A README with each table between its two markers."""
    for name, written in TABLES.items():
        begin, end = (
            f"<!-- {name}: written by python -m app.cli.generated_docs -->",
            f"<!-- /{name} -->",
        )
        pattern = f"<!-- {name}[^>]*-->.*?{re.escape(end)}"
        replaced = f"{begin}\n{written()}\n{end}"
        readme = re.sub(pattern, replaced.replace("\\", r"\\"), readme, count=1, flags=re.DOTALL)
    return readme


def main() -> None:
    """Write all files, in the working directory."""
    Path(SCHEMA).write_text(schema_text(), encoding="utf-8")
    Path(".env.example").write_text(env_example(), encoding="utf-8")
    readme = Path("README.md")
    readme.write_text(with_tables(readme.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
