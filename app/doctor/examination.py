"""One examination: the vendor for every agent, then the gateway, if its URL is given."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from app import assembly, values
from app.doctor.finding import Finding, Grade
from app.doctor.gateway import look_at_gateway
from app.doctor.upstream import look_at_vendor
from app.outbound import outbound

if TYPE_CHECKING:
    from app.settings import Settings

WATCH = 75.0  # longer than the minute at which most balancers cut idle sockets


async def examine(
    settings: Settings, url: str | None, watch: float = WATCH, tickets: str | None = None
) -> int:
    """Print every finding; return 1 if something is wrong, else 0."""
    findings: list[Finding] = []
    out = outbound(settings)
    vendor = assembly.vendor(settings, out)
    limits = values.upstream_limits(settings)
    async with vendor.running(), assembly.vendor_client(settings, out) as client:
        different = {
            (endpoint.base, endpoint.path, endpoint.credential): (name, endpoint)
            for name, endpoint in vendor.endpoints.items()
        }
        for name, endpoint in different.values():
            found = await look_at_vendor(name, endpoint, limits, out, client)
            findings += found
            _tell(found)
    if url is not None:
        bearer = None
        with suppress(IndexError):
            bearer = settings.service_tokens[0].get_secret_value()
        found = await look_at_gateway(url, bearer, watch=watch, tickets=tickets)
        findings += found
        _tell(found)
    faults = sum(finding.grade is Grade.FAULT for finding in findings)
    print(f"\n  {faults} fault(s) in {len(findings)} findings")  # noqa: T201
    return 1 if faults else 0


def _tell(findings: list[Finding]) -> None:
    for finding in findings:
        print(finding.lines(), flush=True)  # noqa: T201
