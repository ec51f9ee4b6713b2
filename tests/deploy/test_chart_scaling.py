"""How pods come and go by the chart: KEDA, spread, eviction, and how long a release takes."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import yaml

from deploy import release
from tests.deploy import chart
from tests.deploy.chart import KUBERNETES, PLAIN, Kinds
from tests.deploy.tooling import CHART, ROOT, binary, npm, passes

if TYPE_CHECKING:
    from pathlib import Path

KEDA: dict[str, Any] = {
    **PLAIN,
    "config": {"RELAY_UPSTREAM_CONCURRENCY": 30000},
    "autoscaling": {
        "enabled": True,
        "engine": "keda",
        "minReplicas": 3,
        "maxReplicas": 200,
        "prometheusAddress": "http://prometheus.monitoring.svc:9090",
    },
    "serviceMonitor": {"enabled": True},
}


@pytest.fixture
def keda(tmp_path: Path) -> Kinds:
    return chart.kinds(chart.render(KEDA, tmp_path))


def scaled_object_schema() -> dict[str, Any]:
    """KEDA's schema, strict: a member that it does not name is a fault, as `kubectl` has it."""
    path = ROOT / "tests" / "deploy" / "schemas" / "keda.sh_scaledobjects.yaml"
    (version,) = yaml.safe_load(path.read_text())["spec"]["versions"]
    schema: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    pending: list[Any] = [schema]
    while pending:
        node = pending.pop()
        if isinstance(node, list):
            pending += node
        elif isinstance(node, dict):
            if isinstance(node.get("properties"), dict):
                node.setdefault("additionalProperties", False)
            pending += node.values()
    return schema


def test_keda_knows_every_field(keda: Kinds) -> None:
    (scaled,) = keda["ScaledObject"]
    schema = scaled_object_schema()
    jsonschema.validate(scaled, schema)
    for wrong in (
        {**scaled, "spec": {**scaled["spec"], "maxReplicas": 3}},
        {**scaled, "spec": {**scaled["spec"], "maxReplicaCount": "3"}},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)


def test_keda_scales_this_deployment_and_no_other_autoscaler_does(keda: Kinds) -> None:
    (deployment,) = keda["Deployment"]
    (scaled,) = keda["ScaledObject"]
    spec = scaled["spec"]
    assert spec["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert "replicas" not in deployment["spec"], "each upgrade would undo the autoscaler"
    assert "HorizontalPodAutoscaler" not in keda
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (3, 200)
    (trigger,) = spec["triggers"]
    assert trigger["metricType"] == "AverageValue", "a fallback works with this type alone"
    assert trigger["metadata"]["threshold"] == "2500"
    assert spec["fallback"]["behavior"] == "currentReplicasIfHigher"


def test_keda_and_the_hpa_behave_alike(keda: Kinds, tmp_path: Path) -> None:
    values = {**KEDA, "autoscaling": {**KEDA["autoscaling"], "engine": "hpa"}}
    (scaler,) = chart.kinds(chart.render(values, tmp_path))["HorizontalPodAutoscaler"]
    (scaled,) = keda["ScaledObject"]
    advanced = scaled["spec"]["advanced"]["horizontalPodAutoscalerConfig"]
    assert advanced["behavior"] == scaler["spec"]["behavior"]


def test_query_asks_for_the_series_that_the_service_monitor_scrapes(keda: Kinds) -> None:
    (scaled,) = keda["ScaledObject"]
    (monitor,) = keda["ServiceMonitor"]
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    (service,) = [s for s in keda["Service"] if wanted <= s["metadata"]["labels"].items()]
    # The operator's labels of a scraped target: the Service's namespace and name.
    query = scaled["spec"]["triggers"][0]["metadata"]["query"]
    meta = service["metadata"]
    label = f'{{namespace="{meta["namespace"]}",service="{meta["name"]}"}}'
    assert query.count("{") == query.count(label) == 4


@dataclass(frozen=True, slots=True)
class Fleet:
    """What Prometheus has scraped: each pod's sessions, who drains, and the vendor's bound."""

    sessions: dict[str, int]
    draining: frozenset[str]
    places: str
    pods_are_needed_for: float


FLEETS = {
    "without a bound": Fleet({"a": 2400, "b": 2100}, frozenset(), "NaN", 4500),
    "far from the vendor's bound": Fleet({"a": 2400, "b": 2100}, frozenset(), "9000", 4500),
    "at the vendor's bound": Fleet({"a": 2400, "b": 2100}, frozenset(), "4000", 4000),
    "while a pod drains": Fleet({"a": 2400, "b": 2100}, frozenset("b"), "NaN", 2400),
    "with no session": Fleet({"a": 0, "b": 0}, frozenset(), "NaN", 0),
}


def prometheus_unit_test(query: str, labels: str, fleet: Fleet) -> dict[str, Any]:
    """A file for `promtool test rules`: these series, and what the query must give."""
    series = []
    for pod, live in fleet.sessions.items():
        of = labels.replace("{", f'{{instance="{pod}",')
        if live:
            with_agent = of.replace("{", '{agent="a",call_type="chat",')
            series.append((f"relay_sessions{with_agent}", str(live)))
        series.append((f"relay_sessions_limit{of}", "5000"))
        series.append((f"relay_draining{of}", str(int(pod in fleet.draining))))
        series.append((f"relay_upstream_places{of}", fleet.places))
    expected = {"labels": "{}", "value": fleet.pods_are_needed_for}
    return {
        "tests": [
            {
                "interval": "15s",
                "input_series": [{"series": name, "values": value} for name, value in series],
                "promql_expr_test": [
                    {"expr": query, "eval_time": "0s", "exp_samples": [expected]},
                ],
            }
        ]
    }


@pytest.mark.parametrize("name", list(FLEETS))
def test_pods_are_needed_for_live_sessions_up_to_the_capacity_of_the_vendor(
    name: str, keda: Kinds, tmp_path: Path
) -> None:
    (scaled,) = keda["ScaledObject"]
    query = scaled["spec"]["triggers"][0]["metadata"]["query"]
    labels = '{namespace="voice",service="relay-blackbox-relay-internal"}'
    assert query.count(labels) == 4
    path = tmp_path / "query_test.yml"
    path.write_text(yaml.safe_dump(prometheus_unit_test(query, labels, FLEETS[name])))
    assert "SUCCESS" in passes(binary("promtool", "prometheus"), "test", "rules", path)


def notes(values: dict[str, Any], directory: Path) -> str:
    """What `helm install` prints, as a manifest of a copy: `helm template` leaves NOTES out."""
    copy = directory / "chart"
    shutil.copytree(CHART, copy)
    (copy / "templates" / "NOTES.txt").rename(copy / "notes.tpl")
    (copy / "templates" / "notes.yaml").write_text(
        'kind: Notes\ntext: |\n  {{- tpl (.Files.Get "notes.tpl") . | nindent 2 }}\n'
    )
    path = chart.write(values, directory)
    said = passes(npm("helm"), "template", "relay", copy, "--namespace", "voice", "-f", path)
    (found,) = chart.kinds(said)["Notes"]
    return str(found["text"])


def test_notes_say_how_many_pods_the_vendor_fills(tmp_path: Path) -> None:
    said = notes(KEDA, tmp_path)
    assert "12 pods hold them" in said
    assert KEDA["autoscaling"]["prometheusAddress"] in said


@pytest.mark.parametrize("version", KUBERNETES)
def test_each_release_is_spread_by_itself(version: str, tmp_path: Path) -> None:
    objects = chart.kinds(chart.render(PLAIN, tmp_path, version))
    spreads = chart.pod_of(objects)["spec"]["topologySpreadConstraints"]
    assert [spread["topologyKey"] for spread in spreads] == [
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
    ]
    # matchLabelKeys is on by default since Kubernetes 1.27.
    wanted = None if version == "1.25" else ["pod-template-hash"]
    assert [spread.get("matchLabelKeys") for spread in spreads] == [wanted] * 2


def test_release_of_200_pods_with_calls_of_an_hour_ends_in_the_time_that_is_stated(
    tmp_path: Path,
) -> None:
    values = {**KEDA, "drain": {"delaySeconds": 5, "timeoutSeconds": 3600, "marginSeconds": 25}}
    objects = chart.kinds(chart.render(values, tmp_path))
    (deployment,) = objects["Deployment"]
    update = deployment["spec"]["strategy"]["rollingUpdate"]
    rollout = release.Rollout(
        pods=200,
        surge=release.pods_of(str(update["maxSurge"]), 200, up=True),
        unavailable=release.pods_of(str(update["maxUnavailable"]), 200, up=False),
        min_ready=deployment["spec"]["minReadySeconds"],
        timeout=float(chart.environment(objects)["RELAY_DRAIN_TIMEOUT"]),
        longest=3600,
    )
    found = release.release(rollout)
    assert rollout.cut == 0
    assert rollout.grace <= chart.pod_of(objects)["spec"]["terminationGracePeriodSeconds"]
    assert (found.waves, found.replaced, found.peak) == (4, 100, 400)
    stated = (ROOT / "docs" / "SCALE.md").read_text()
    for figure in (found.replaced, found.ended, found.at_most):
        assert release.clock(figure) in stated


def test_drain_alert_waits_for_the_drain_that_the_values_allow(tmp_path: Path) -> None:
    values = {
        **PLAIN,
        "drain": {"delaySeconds": 5, "timeoutSeconds": 3600, "marginSeconds": 25},
        "prometheusRule": {"enabled": True},
    }
    (rule,) = chart.kinds(chart.render(values, tmp_path))["PrometheusRule"]
    waits = {
        alert["alert"]: alert.get("for")
        for group in rule["spec"]["groups"]
        for alert in group["rules"]
    }
    assert waits["RelayDrainStuck"] == "62m"
