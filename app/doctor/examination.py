"""One examination: the stores, the vendor for every agent, and whoever else is configured."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from app import assembly, values
from app.doctor.finding import Finding, Grade
from app.doctor.gateway import look_at_gateway
from app.doctor.peers import look_at_peers
from app.doctor.stores import look_at_stores
from app.doctor.upstream import look_at_vendor
from app.outbound import outbound

if TYPE_CHECKING:
    from app.settings import Settings

WATCH = 75.0  # longer than the minute at which most balancers cut idle sockets


async def examine(
    settings: Settings, url: str | None, watch: float = WATCH, tickets: str | None = None
) -> int:
    """Look at vendor, stores and, by its URL, the gateway; print all, return 1 for a fault."""
    findings = await _vendor(settings)
    findings += _told(await look_at_stores(settings))
    if url is not None:
        bearer = None
        with suppress(IndexError):
            bearer = settings.service_tokens[0].get_secret_value()
        findings += _told(await look_at_gateway(url, bearer, watch=watch, tickets=tickets))
    return _summed(findings)


async def connect_once(settings: Settings) -> int:
    """Dial every store, key set, tool and vendor once; print all, return 1 for a fault."""
    findings = _told(await look_at_stores(settings))
    egress = assembly.egress(settings, outbound(settings))
    try:
        findings += _told(await look_at_peers(settings, egress))
    finally:
        await egress.close()
    findings += await _vendor(settings)
    return _summed(findings)


async def _vendor(settings: Settings) -> list[Finding]:
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
            findings += _told(await look_at_vendor(name, endpoint, limits, out, client))
    return findings


def _summed(findings: list[Finding]) -> int:
    faults = sum(finding.grade is Grade.FAULT for finding in findings)
    print(f"\n  {faults} fault(s) in {len(findings)} findings")  # noqa: T201
    return 1 if faults else 0


def _told(findings: list[Finding]) -> list[Finding]:
    for finding in findings:
        print(finding.lines(), flush=True)  # noqa: T201
    return findings
