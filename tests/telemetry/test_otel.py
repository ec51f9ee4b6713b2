"""OpenTelemetry's own variables, and an exporter that cannot reach its collector."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
from datetime import datetime
from typing import TYPE_CHECKING

import pytest
from websockets.asyncio.client import connect

from app.protocol.errors import ConfigurationError
from app.telemetry.otel import exports, faults
from app.telemetry.traces import open_traces
from tests.state.test_factory import self_signed
from tests.support.collector import collector
from tests.support.gateway import Gateway
from tests.support.ports import free_port
from tests.support.redis import RedisServer
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.gateway import Emulator

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
ON = {ENDPOINT: "http://127.0.0.1:4318"}
FLUSH = 2.0


@pytest.mark.parametrize(
    ("environ", "on"),
    [
        ({}, False),
        (ON, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        (ON | {"OTEL_TRACES_EXPORTER": "none"}, False),
        (ON | {"OTEL_SDK_DISABLED": "true"}, False),
        (ON | {"OTEL_SDK_DISABLED": "TRUE "}, False),
        (ON | {"OTEL_SDK_DISABLED": "false"}, True),
        (ON | {"OTEL_SDK_DISABLED": "1"}, True),  # only `true` disables
    ],
)
def test_traces_are_on_as_the_specification_says(environ: dict[str, str], on: bool) -> None:
    assert exports(environ) is on


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, "OTEL_EXPORTER_OTLP_PROTOCOL"),
        ({"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"),
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER"),
        ({"OTEL_TRACES_SAMPLER": "canary"}, "OTEL_TRACES_SAMPLER"),
        (
            {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "canary"},
            "OTEL_TRACES_SAMPLER_ARG",
        ),
        (
            {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "25"},
            "OTEL_TRACES_SAMPLER_ARG",
        ),
        ({ENDPOINT: "canary:4317"}, ENDPOINT),
        ({"OTEL_EXPORTER_OTLP_CERTIFICATE": "/no/canary"}, "OTEL_EXPORTER_OTLP_CERTIFICATE"),
    ],
)
def test_what_the_exporter_would_ignore_is_refused_by_name(
    environ: dict[str, str], named: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        open_traces(ON | environ, "1")
    (fault,) = refused.value.faults
    assert fault.startswith(f"{named} ")
    assert "canary" not in fault
    assert faults(ON | environ | {"OTEL_SDK_DISABLED": "true"}) == []


def test_protocol_for_traces_wins_over_the_general_one() -> None:
    general = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    assert faults(ON | general | {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"}) == []


@pytest.mark.parametrize(("sampler", "recorded"), [("always_off", False), ("always_on", True)])
async def test_sampler_decides(
    sampler: str, recorded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with collector() as receiving:
        monkeypatch.setenv(ENDPOINT, f"http://127.0.0.1:{receiving.port}")
        monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
        traces = open_traces(os.environ, "1")
        traces.begin().end(1000, "ended")
        await traces.close()
        assert bool(receiving.spans) is recorded


async def talked(gateway: Gateway) -> None:
    """One session, begun and ended."""
    async with asyncio.timeout(30), connect(f"{gateway.ws}/ws/echo") as ws:
        await ws.recv()


async def test_operator_s_names_and_trust_are_used(tmp_path: Path, emulator: Emulator) -> None:
    certificate, key = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    async with collector(context) as receiving:
        gateway = Gateway(emulator.url, resume_window=0)
        gateway.environment |= {
            ENDPOINT: f"https://127.0.0.1:{receiving.port}",
            "OTEL_SERVICE_NAME": "shop-gateway-eu",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=staging,service.version=9",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "SSL_CERT_FILE": str(certificate),
            "REQUESTS_CA_BUNDLE": "/etc/ssl/certs/ca-certificates.crt",  # not the exporter's word
        }
        await gateway.start()
        try:
            await gateway.ready()
            await talked(gateway)
            await until(lambda: receiving.spans)
        finally:
            await gateway.stop()
    assert receiving.resource["service.name"] == "shop-gateway-eu"
    assert receiving.resource["service.version"] == "9"
    assert receiving.resource["deployment.environment"] == "staging"


@pytest.mark.parametrize(
    ("given", "name", "version"),
    [
        ({}, "blackbox-relay", "1"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=blue"}, "blue", "1"),
        (
            {"OTEL_RESOURCE_ATTRIBUTES": "service.name=blue", "OTEL_SERVICE_NAME": "green"},
            "green",
            "1",
        ),
    ],
)
async def test_service_name_is_ours_only_where_none_is_given(
    given: dict[str, str], name: str, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with collector() as receiving:
        monkeypatch.setenv(ENDPOINT, f"http://127.0.0.1:{receiving.port}")
        for variable, value in given.items():
            monkeypatch.setenv(variable, value)
        traces = open_traces(os.environ, "1")
        traces.begin().end(1000, "ended")
        await traces.close()
    assert receiving.resource["service.name"] == name
    assert receiving.resource["service.version"] == version


def moment(gateway: Gateway, event: str) -> float:
    """When the gateway logged this, in Unix seconds."""
    (line,) = gateway.lines(event)
    return datetime.fromisoformat(line["timestamp"]).timestamp()


@pytest.mark.parametrize("hurried", [False, True])
async def test_collector_that_never_answers_delays_the_exit_a_little_and_no_deregistration(
    tmp_path: Path, emulator: Emulator, hurried: bool
) -> None:
    with RedisServer(tmp_path / "redis") as redis:
        async with collector(silent=True) as receiving:
            gateway = Gateway(emulator.url, resume_window=0, state_url=redis.url)
            gateway.environment[ENDPOINT] = f"http://127.0.0.1:{receiving.port}"
            await gateway.start()
            try:
                await gateway.ready()
                await talked(gateway)
                gateway.signal(signal.SIGTERM)
                await until(lambda: gateway.lines("drained"))
                if hurried:
                    gateway.signal(signal.SIGTERM)
                else:
                    await until(lambda: signed_off(redis))
                    assert gateway.process is not None
                    assert gateway.process.returncode is None
                    assert not gateway.lines("traces_not_sent")
                assert await gateway.ended() == 0
            finally:
                await gateway.kill()
    assert signed_off_at_end(gateway)
    waited = moment(gateway, "traces_not_sent") - moment(gateway, "drained")
    assert waited < FLUSH if hurried else FLUSH - 0.1 < waited < 3 * FLUSH


def signed_off(redis: RedisServer) -> bool:
    """Whether the replica has said that it is gone."""
    keys = redis.command("KEYS", "*").decode(errors="replace")
    return any(
        b"off:" in redis.command("GET", key) for key in keys.split("\r\n") if ":replica:" in key
    )


def signed_off_at_end(gateway: Gateway) -> bool:
    return not gateway.lines("state_lost_at_close")


async def test_absent_collector_delays_the_exit_no_longer(emulator: Emulator) -> None:
    gateway = Gateway(emulator.url, resume_window=0)
    gateway.environment[ENDPOINT] = f"http://127.0.0.1:{free_port()}"
    await gateway.start()
    try:
        await gateway.ready()
        await talked(gateway)
        gateway.signal(signal.SIGTERM)
        assert await gateway.ended() == 0
    finally:
        await gateway.kill()
    assert moment(gateway, "traces_not_sent") - moment(gateway, "drained") < 3 * FLUSH
