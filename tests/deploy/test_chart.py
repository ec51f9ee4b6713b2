"""The Helm chart: rendered, validated for three Kubernetes versions, and read for its sense."""

from __future__ import annotations

import copy
import tarfile
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from app.settings import load
from tests.deploy import chart
from tests.deploy.chart import EVERYTHING, KUBERNETES, PLAIN, VARIANTS, Kinds
from tests.deploy.tooling import CHART, DEPLOY, npm, passes, run, script

if TYPE_CHECKING:
    from pathlib import Path

# Kinds of the Prometheus operator and of KEDA; Kubernetes has no schema for them.
FOREIGN = {"ServiceMonitor", "PrometheusRule", "ScaledObject"}

each_variant = pytest.mark.parametrize("name", list(VARIANTS))


@pytest.fixture
def everything(tmp_path: Path) -> Kinds:
    return chart.kinds(chart.render(EVERYTHING, tmp_path))


@each_variant
def test_helm_lint_finds_nothing(name: str, tmp_path: Path) -> None:
    values = chart.write(VARIANTS[name], tmp_path)
    said = passes(npm("helm"), "lint", "--strict", CHART, "--values", values)
    assert "[WARNING]" not in said


@each_variant
@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_knows_every_field(name: str, version: str, tmp_path: Path) -> None:
    objects = chart.kinds(chart.render(VARIANTS[name], tmp_path, version))
    known = [o for kind, some in objects.items() if kind not in FOREIGN for o in some]
    path = tmp_path / "objects.yaml"
    path.write_text(yaml.safe_dump_all(known))
    done = run(script("kubernetes-validate"), "-k", version, "--strict", path)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    # A kind without a schema is only a warning to it, and would not have been looked at.
    assert "WARN" not in said
    assert said.count("passed") == len(known)


@each_variant
def test_selectors_select_the_pods(name: str, tmp_path: Path) -> None:
    objects = chart.kinds(chart.render(VARIANTS[name], tmp_path))
    labels = chart.pod_of(objects)["metadata"]["labels"].items()
    (deployment,) = objects["Deployment"]
    selectors = [deployment["spec"]["selector"]["matchLabels"]]
    selectors += [service["spec"]["selector"] for service in objects["Service"]]
    for kind, key in (("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector")):
        selectors += [o["spec"][key]["matchLabels"] for o in objects.get(kind, [])]
    selectors += [
        spread["labelSelector"]["matchLabels"]
        for spread in chart.pod_of(objects)["spec"]["topologySpreadConstraints"]
    ]
    assert len(selectors) >= 6
    assert all(selector and selector.items() <= labels for selector in selectors)


def test_everything_that_names_a_port_names_one_that_is_there(everything: Kinds) -> None:
    (container,) = chart.pod_of(everything)["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    env = chart.environment(everything)
    assert ports == {
        "public": int(env["RELAY_PORT"]),
        "internal": int(env["RELAY_INTERNAL_PORT"]),
    }
    probes = [container[f"{probe}Probe"] for probe in ("startup", "liveness", "readiness")]
    assert [probe["httpGet"]["path"] for probe in probes] == ["/healthz", "/healthz", "/readyz"]
    assert {probe["httpGet"]["port"] for probe in probes} == {"public"}

    offered = {}
    for service in everything["Service"]:
        for port in service["spec"]["ports"]:
            assert port["targetPort"] in ports
            offered[service["metadata"]["name"], port["name"]] = port["port"]
    (policy,) = everything["NetworkPolicy"]
    named = {port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]}
    assert named == set(ports)
    (ingress,) = everything["Ingress"]
    for rule in ingress["spec"]["rules"]:
        for path in rule["http"]["paths"]:
            backend = path["backend"]["service"]
            assert (backend["name"], backend["port"]["name"]) in offered
            assert backend["port"]["name"] == "public"


def test_internal_port_is_never_opened_to_the_outside(tmp_path: Path) -> None:
    values = {**PLAIN, "service": {"type": "LoadBalancer"}}
    for service in chart.kinds(chart.render(values, tmp_path))["Service"]:
        inside = any(port["targetPort"] == "internal" for port in service["spec"]["ports"])
        assert service["spec"]["type"] == ("ClusterIP" if inside else "LoadBalancer")


@pytest.mark.parametrize(("delay", "timeout"), [(5, 300), (0, 0), (0.5, 12.2), (20, 3600)])
def test_grace_is_longer_than_the_drain(delay: float, timeout: float, tmp_path: Path) -> None:
    values = {**PLAIN, "drain": {"delaySeconds": delay, "timeoutSeconds": timeout}}
    objects = chart.kinds(chart.render(values, tmp_path))
    grace = chart.pod_of(objects)["spec"]["terminationGracePeriodSeconds"]
    env = chart.environment(objects)
    assert isinstance(grace, int)
    assert (float(env["RELAY_DRAIN_DELAY"]), float(env["RELAY_DRAIN_TIMEOUT"])) == (delay, timeout)
    assert grace >= delay + timeout + 5


def test_pod_may_do_nothing_it_need_not(everything: Kinds) -> None:
    pod = chart.pod_of(everything)["spec"]
    (container,) = pod["containers"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["securityContext"]["runAsUser"] == 10001
    security = container["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["readOnlyRootFilesystem"] is True
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert "cpu" not in container["resources"]["limits"], "a throttled loop delays everybody"
    assert container["resources"]["limits"]["memory"]
    mounted = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    writable = [path for path, mount in mounted.items() if not mount.get("readOnly")]
    assert writable == ["/tmp"]  # noqa: S108


def test_rollout_takes_no_replica_away_before_its_successor_is_ready(everything: Kinds) -> None:
    (deployment,) = everything["Deployment"]
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {
        "maxUnavailable": 0,
        "maxSurge": "25%",
    }
    (budget,) = everything["PodDisruptionBudget"]
    assert budget["spec"]["maxUnavailable"] == 1


def test_autoscaler_scales_this_deployment_by_sessions(everything: Kinds) -> None:
    (deployment,) = everything["Deployment"]
    (scaler,) = everything["HorizontalPodAutoscaler"]
    target = scaler["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", deployment["metadata"]["name"])
    assert "replicas" not in deployment["spec"], "each upgrade would undo the autoscaler"
    assert 2 <= scaler["spec"]["minReplicas"] <= scaler["spec"]["maxReplicas"]
    (metric,) = scaler["spec"]["metrics"]
    assert metric["pods"]["metric"]["name"] == "relay_sessions"
    assert int(metric["pods"]["target"]["averageValue"]) < 5000
    env = chart.environment(everything)
    for policy in scaler["spec"]["behavior"]["scaleDown"]["policies"]:
        assert policy["periodSeconds"] > float(env["RELAY_DRAIN_TIMEOUT"])


def test_ingress_holds_sockets_longer_than_the_ping(everything: Kinds) -> None:
    (ingress,) = everything["Ingress"]
    notes = ingress["metadata"]["annotations"]
    prefix = "nginx.ingress.kubernetes.io"
    for name in ("proxy-read-timeout", "proxy-send-timeout"):
        assert int(notes[f"{prefix}/{name}"]) > 15 + 10
    assert notes[f"{prefix}/enable-access-log"] == "false"


def test_secrets_are_files_and_nothing_else(everything: Kinds, tmp_path: Path) -> None:
    env = chart.environment(everything)
    pod = chart.pod_of(everything)["spec"]
    (container,) = pod["containers"]
    files = {name: path for name, path in env.items() if path.startswith("/run/secrets/")}
    assert set(files) == {
        f"RELAY_{name}_FILE" for name in ("BLACKBOX_API_KEY", "SERVICE_TOKENS", "STATE_URL")
    }
    (volume,) = [volume for volume in pod["volumes"] if "secret" in volume]
    (mount,) = [mount for mount in container["volumeMounts"] if mount["name"] == volume["name"]]
    projected = {f"{mount['mountPath']}/{item['path']}" for item in volume["secret"]["items"]}
    assert projected == set(files.values())
    assert volume["secret"]["defaultMode"] == 0o440
    assert pod["securityContext"]["fsGroup"] == pod["securityContext"]["runAsGroup"]
    assert "Secret" not in everything
    trial = chart.kinds(chart.render(VARIANTS["trial"], tmp_path))
    (secret,) = trial["Secret"]
    assert set(secret["data"]) == {"RELAY_BLACKBOX_API_KEY", "RELAY_SERVICE_TOKENS"}
    assert (
        chart.pod_of(trial)["spec"]["volumes"][1]["secret"]["secretName"]
        == (secret["metadata"]["name"])
    )


@each_variant
def test_gateway_accepts_the_environment_that_the_chart_gives(name: str, tmp_path: Path) -> None:
    objects = chart.kinds(chart.render(VARIANTS[name], tmp_path))
    env = chart.environment(objects)
    for variable, value in env.items():
        if not variable.endswith("_FILE"):
            continue
        path = tmp_path / variable
        path.write_text("redis://redis:6379/0" if "STATE_URL" in variable else "secret")
        if value == "/etc/blackbox-relay/agents.yaml":
            (agents,) = objects["ConfigMap"][:1]
            path.write_text(agents["data"]["agents.yaml"])
        env[variable] = str(path)
    settings = load(env)
    assert settings.port == 8000
    assert settings.internal_port == 9000
    if name == "everything":
        assert settings.outbox == 2097152
        assert settings.history_content is False
        assert set(settings.agent_settings) == {"sales", "support"}


def test_change_of_the_agents_rolls_the_pods(tmp_path: Path) -> None:
    before = chart.pod_of(chart.kinds(chart.render(EVERYTHING, tmp_path)))
    values = copy.deepcopy(EVERYTHING)
    values["agents"]["sales"]["default_call_type"] = "webCall"
    after = chart.pod_of(chart.kinds(chart.render(values, tmp_path)))
    assert before["metadata"]["annotations"] != after["metadata"]["annotations"]


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no secret": ({}, "secrets.existingSecret"),
    "replicas without a store": (
        {"secrets": {"existingSecret": "s", "keys": ["RELAY_BLACKBOX_API_KEY"]}},
        "shared store",
    ),
    "a secret among the plain settings": (
        {**PLAIN, "config": {"RELAY_BLACKBOX_API_KEY": "k"}},
        "config",
    ),
    "one variable from two places": (
        {**PLAIN, "config": {"RELAY_STATE_URL": "redis://r"}},
        "one place",
    ),
    "a drain that the grace would not follow": (
        {**PLAIN, "config": {"RELAY_DRAIN_TIMEOUT": 900}},
        "`drain`",
    ),
    "a scaler upside down": (
        {**PLAIN, "autoscaling": {"enabled": True, "minReplicas": 9, "maxReplicas": 3}},
        "below",
    ),
    "pods that are full before they are more": (
        {**PLAIN, "autoscaling": {"enabled": True}, "config": {"RELAY_MAX_SESSIONS": 2000}},
        "targetSessions",
    ),
    "an autoscaler that asks nobody": (
        {**PLAIN, "autoscaling": {"enabled": True, "engine": "keda"}},
        "autoscaling.prometheusAddress",
    ),
    "an unknown engine": ({**PLAIN, "autoscaling": {"engine": "vpa"}}, "engine"),
    "a release that could replace nothing": (
        {**PLAIN, "rollout": {"maxSurge": "0%"}},
        "no pod could ever be replaced",
    ),
    "a share that is none": ({**PLAIN, "rollout": {"maxSurge": "a quarter"}}, "maxSurge"),
    "an ingress for nobody": ({**PLAIN, "ingress": {"enabled": True}}, "hosts"),
    "a misspelt value": ({**PLAIN, "replicas": 3}, "replicas"),
    "a port below 1024": ({**PLAIN, "ports": {"public": 80}}, "1024"),
    "a variable of somebody else": ({**PLAIN, "config": {"PATH": "/bin"}}, "PATH"),
}


@pytest.mark.parametrize("name", list(BAD))
def test_mistake_is_refused_with_a_word_about_it(name: str, tmp_path: Path) -> None:
    values, word = BAD[name]
    done = chart.attempt(values, tmp_path)
    assert done.returncode != 0
    assert word in done.stderr


def test_rules_and_dashboard_in_the_chart_are_those_of_deploy(everything: Kinds) -> None:
    rules = DEPLOY / "prometheus" / "rules.yml"
    dashboard = DEPLOY / "grafana" / "dashboard.json"
    assert (CHART / "files" / "rules.yml").read_text() == rules.read_text()
    assert (CHART / "files" / "dashboard.json").read_text() == dashboard.read_text()
    (rule,) = everything["PrometheusRule"]
    assert rule["spec"] == yaml.safe_load(rules.read_text())
    shown = [o for o in everything["ConfigMap"] if "grafana_dashboard" in o["metadata"]["labels"]]
    assert shown[0]["data"]["blackbox-relay.json"] == dashboard.read_text()


def test_scraped_service_exists_and_gets_the_alerts_job_name(everything: Kinds) -> None:
    (monitor,) = everything["ServiceMonitor"]
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    matching = [s for s in everything["Service"] if wanted <= s["metadata"]["labels"].items()]
    (service,) = matching
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    (relabeling,) = endpoint["relabelings"]
    assert relabeling == {"targetLabel": "job", "replacement": "blackbox-relay"}


def test_package_holds_what_renders(tmp_path: Path) -> None:
    archive = chart.package(tmp_path)
    with tarfile.open(archive) as opened:
        names = {name.removeprefix("blackbox-relay/") for name in opened.getnames()}
    assert {"Chart.yaml", "values.schema.json", "templates/NOTES.txt", "files/rules.yml"} <= names
    values = chart.write(PLAIN, tmp_path)
    said = passes(
        *(npm("helm"), "template", "relay", archive, "--values", values),
        *("--kube-version", f"{KUBERNETES[0]}.0"),
    )
    assert "kind: Deployment" in said
