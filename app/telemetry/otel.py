"""OpenTelemetry's own variables: whether spans are exported, and what is wrong with them.

Names and meanings: OpenTelemetry specification, "Environment Variable Specification" and
"OpenTelemetry Protocol Exporter".
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

PROTOCOL: Final = "http/protobuf"
PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
"""The first that is set decides."""
ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
CERTIFICATES: Final = ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE")
RATIO: Final = frozenset({"traceidratio", "parentbased_traceidratio"})
SAMPLERS: Final = RATIO | {
    *("always_on", "always_off", "parentbased_always_on", "parentbased_always_off"),
}


def exports(environ: Mapping[str, str]) -> bool:
    """Whether spans are exported: an endpoint is named, or the exporter `otlp`."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporter = _exporter(environ)
    if exporter == "none":
        return False
    return bool(exporter) or any(environ.get(name) for name in ENDPOINTS)


def faults(environ: Mapping[str, str]) -> list[str]:
    """A line for each variable that is wrong: its name and what to do, never its value."""
    found = _propagators()
    if not exports(environ):
        return found
    if _exporter(environ) not in {"", "otlp"}:
        found.append("OTEL_TRACES_EXPORTER must be otlp or none")
    protocol = next((name for name in PROTOCOLS if environ.get(name)), None)
    if protocol is not None and environ[protocol].strip() != PROTOCOL:
        found.append(
            f"{protocol} must be {PROTOCOL}, the only protocol there is: name the collector's "
            "HTTP port (4318 by default) as its endpoint"
        )
    endpoint = next((name for name in ENDPOINTS if environ.get(name)), None)
    if endpoint is not None and not _is_http(environ[endpoint]):
        found.append(f"{endpoint} must be an http:// or https:// URL")
    certificate = next((name for name in CERTIFICATES if environ.get(name)), None)
    if certificate is not None and not Path(environ[certificate]).exists():
        found.append(f"{certificate} names a file that is not there")
    return found + _sampler(environ)


def authorities(environ: Mapping[str, str]) -> str | None:
    """The file or directory of authorities that the exporter shall trust; None: its own choice.

    What OpenTelemetry's own variables name is the exporter's to read; without them it trusts whom
    every other connection of this process trusts, by `SSL_CERT_FILE` or the system.
    """
    if any(environ.get(name) for name in CERTIFICATES):
        return None
    paths = ssl.get_default_verify_paths()
    directory = paths.capath
    if paths.cafile or not directory:
        return paths.cafile or None
    return directory if any(Path(directory).iterdir()) else None


def _exporter(environ: Mapping[str, str]) -> str:
    return environ.get("OTEL_TRACES_EXPORTER", "").strip().lower()


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def _sampler(environ: Mapping[str, str]) -> list[str]:
    sampler = environ.get("OTEL_TRACES_SAMPLER", "").strip().lower()
    if not sampler:
        return []
    if sampler not in SAMPLERS:
        return [f"OTEL_TRACES_SAMPLER must be one of {', '.join(sorted(SAMPLERS))}"]
    ratio = environ.get("OTEL_TRACES_SAMPLER_ARG", "")
    if sampler in RATIO and ratio:
        try:
            right = 0 <= float(ratio) <= 1
        except ValueError:
            right = False
        if not right:
            return ["OTEL_TRACES_SAMPLER_ARG must be a number from 0 to 1"]
    return []


def _propagators() -> list[str]:
    """The API reads `OTEL_PROPAGATORS` while it is imported, and raises then."""
    try:
        from opentelemetry import propagate  # noqa: PLC0415
    except ValueError:
        return ["OTEL_PROPAGATORS names a propagator that is not installed"]
    del propagate
    return []
