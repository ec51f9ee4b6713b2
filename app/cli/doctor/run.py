"""All checks: the stores, the vendor for every agent, and other configured peers."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from app.bootstrap import config, egress_clients, tool_set, vendor_parts
from app.bootstrap.outbound import outbound
from app.cli.doctor.check_gateway import check_gateway
from app.cli.doctor.check_integration import check_integration
from app.cli.doctor.check_peers import check_peers
from app.cli.doctor.check_provider import check_provider
from app.cli.doctor.check_stores import check_stores
from app.cli.doctor.check_upstream import check_upstream
from app.cli.doctor.finding import Finding, Severity

if TYPE_CHECKING:
    from app.settings import Settings

WATCH = 75.0  # longer than the minute at which most balancers cut idle sockets


async def run_checks(
    settings: Settings, url: str | None, watch: float = WATCH, tickets: str | None = None
) -> int:
    """Look at vendor, stores and, by its URL, the gateway; print all, return 1 for a fault."""
    findings = await _vendor(settings)
    findings += _told(await check_stores(settings))
    if url is not None:
        bearer = None
        with suppress(IndexError):
            bearer = settings.service_tokens[0].get_secret_value()
        findings += _told(await check_gateway(url, bearer, watch=watch, tickets=tickets))
    return _summed(findings)


async def connect_once(settings: Settings) -> int:
    """Dial every store, key set, tool and vendor once; print all, return 1 for a fault."""
    findings = _told(await check_stores(settings))
    egress = egress_clients.egress(settings, outbound(settings))
    try:
        findings += _told(await check_peers(settings, egress))
        findings += _told(await check_provider(settings, egress.auth))
    finally:
        await egress.close()
    findings += await _vendor(settings)
    return _summed(findings)


async def _vendor(settings: Settings) -> list[Finding]:
    findings: list[Finding] = []
    out = outbound(settings)
    vendor = vendor_parts.vendor(settings, out)
    limits = config.upstream_limits(settings)
    profiles = config.profiles(settings)
    async with vendor.running(), vendor_parts.vendor_client(settings, out) as client:
        different = {
            (endpoint.base, endpoint.path, endpoint.credential): (name, endpoint)
            for name, endpoint in vendor.endpoints.items()
        }
        for name, endpoint in different.values():
            findings += _told(await check_upstream(name, endpoint, limits, out, client))
        by_token = {n: e for n, e in vendor.endpoints.items() if e.parameter == "token"}
        registered = tool_set.tool_names(settings) if by_token else frozenset()
        for name, endpoint in by_token.items():
            findings += _told(
                await check_integration(settings, profiles[name], endpoint, client, registered)
            )
    return findings


def _summed(findings: list[Finding]) -> int:
    faults = sum(finding.severity is Severity.FAULT for finding in findings)
    print(f"\n  {faults} fault(s) in {len(findings)} findings")
    return 1 if faults else 0


def _told(findings: list[Finding]) -> list[Finding]:
    for finding in findings:
        print(finding.lines(), flush=True)
    return findings
