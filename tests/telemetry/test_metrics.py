"""`/metrics` has every name of the contract, and labels from closed sets alone."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.protocol.frames import BROWSER_TYPES, UPSTREAM_TYPES
from app.telemetry.metrics import Metrics
from tests.contract.names import METRICS

CONTRACT = METRICS | {"relay_state_errors_total": {"operation"}}


def samples(metrics: Metrics) -> dict[str, list[tuple[dict[str, str], float]]]:
    """The exposition, read by Prometheus' own parser: label sets and values by sample name."""
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(metrics.exposition().decode()):
        found.setdefault(family.name, [])
        found.setdefault(f"{family.name}_total", [])
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def busy() -> Metrics:
    """Metrics in which every labelled family has a sample."""
    metrics = Metrics(10)
    metrics.bind(lambda: [("support", "chat"), ("support", "chat"), ("echo", "webCall")], int)
    metrics.sessions_total.labels("support", "chat", "1000").inc()
    metrics.tool_calls_total.labels("check_order_status", "ok").inc()
    metrics.tool_seconds.labels("check_order_status").observe(0.1)
    metrics.refusals_total.labels("bad_json").inc()
    metrics.state_errors_total.labels("enter").inc()
    return metrics


@pytest.mark.parametrize("name", CONTRACT)
def test_every_name_of_the_contract_is_exposed_with_its_labels(name: str) -> None:
    found = samples(busy())
    shown = found.get(name) or found.get(f"{name}_bucket")
    assert shown, f"{name} has no sample"
    for labels, _ in shown:
        assert set(labels) - {"le"} == CONTRACT[name]


def test_fresh_process_exposes_every_family() -> None:
    text = Metrics(1).exposition().decode()
    for name in CONTRACT:
        assert f"# TYPE {name} " in text or f"# TYPE {name}_total " in text, name


def test_frames_of_unknown_types_count_as_other() -> None:
    metrics = Metrics(1)
    for kind in ("text", "toolCall", "canary\n} evil", "x" * 100):
        metrics.frame_counters.from_upstream.add(kind, 10)
    metrics.frame_counters.from_browser.add("canary", 5)
    found = samples(metrics)
    frames = {(s["direction"], s["type"]): value for s, value in found["relay_frames_total"]}
    assert {kind for _, kind in frames} == BROWSER_TYPES | UPSTREAM_TYPES | {"other"}
    assert frames["from_upstream", "other"] == 2
    assert frames["from_browser", "other"] == 1
    size = {s["direction"]: value for s, value in found["relay_frame_bytes_total"]}
    assert size == {"from_upstream": 40, "from_browser": 5}
    assert b"canary" not in metrics.exposition()


def test_live_sessions_are_counted_by_agent_and_call_type() -> None:
    found = samples(busy())["relay_sessions"]
    assert {(s["agent"], s["call_type"]): value for s, value in found} == {
        ("support", "chat"): 2,
        ("echo", "webCall"): 1,
    }


def test_outbox_and_limit_say_what_they_are_told() -> None:
    metrics = Metrics(77)
    metrics.bind(tuple, lambda: 1234)
    found = samples(metrics)
    assert found["relay_outbox_bytes"][0][1] == 1234
    assert found["relay_sessions_limit"][0][1] == 77


def test_a_registry_is_its_process_own() -> None:
    first, second = Metrics(1), Metrics(1)
    first.refusals_total.labels("bad_json").inc()
    assert b"bad_json" not in second.exposition()
