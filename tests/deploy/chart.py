"""Rendering the chart, and what Kubernetes' schemas do not see in the result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from tests.deploy.tooling import CHART, npm, passes, run

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

KUBERNETES = ("1.25", "1.31", "1.37")
Kinds = dict[str, list[dict[str, Any]]]

# Values as they are used: each must render, validate, and make sense.
PLAIN = {"secrets": {"existingSecret": "relay-secrets"}}
TRIAL: dict[str, Any] = {
    "replicaCount": 1,
    "secrets": {"create": {"RELAY_BLACKBOX_API_KEY": "k", "RELAY_SERVICE_TOKENS": "a,b"}},
    "drain": {"delaySeconds": 0.5, "timeoutSeconds": 12.2, "marginSeconds": 5},
    "networkPolicy": {"enabled": False},
    "serviceAccount": {"create": False},
}
EVERYTHING: dict[str, Any] = {
    **PLAIN,
    "config": {
        "RELAY_OUTBOX": 2097152,
        "RELAY_TOOL_TIMEOUT": 2.5,
        "RELAY_HISTORY_CONTENT": False,
        "RELAY_TRUSTED_PROXIES": "10.0.0.0/8",
        "RELAY_ALLOWED_ORIGINS": "https://www.example.com",
    },
    "agents": {"sales": {"default_call_type": "chat"}, "support": {"tools": ["orders"]}},
    "autoscaling": {"enabled": True},
    "ingress": {
        "enabled": True,
        "hosts": ["relay.example.com"],
        "tls": [{"secretName": "relay-tls", "hosts": ["relay.example.com"]}],
    },
    "networkPolicy": {
        "publicFrom": [
            {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}}
        ],
        "internalFrom": [{"podSelector": {}}],
    },
    "serviceMonitor": {"enabled": True},
    "prometheusRule": {"enabled": True},
    "dashboard": {"enabled": True},
    "priorityClassName": "high",
    "podLabels": {"team": "voice"},
    "tolerations": [{"key": "voice", "operator": "Exists"}],
    "extraEnv": [{"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://otel:4318"}],
}
VARIANTS = {"plain": PLAIN, "trial": TRIAL, "everything": EVERYTHING}


def write(values: dict[str, Any], directory: Path) -> Path:
    """Write a values file, numbers and all, as an operator would."""
    path = directory / "values.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def attempt(
    values: dict[str, Any], directory: Path, version: str = KUBERNETES[-1]
) -> subprocess.CompletedProcess[str]:
    """Render as a release called `relay`; the caller judges."""
    return run(
        *(npm("helm"), "template", "relay", CHART, "--namespace", "voice"),
        *("--kube-version", f"{version}.0", "--values", write(values, directory)),
    )


def render(values: dict[str, Any], directory: Path, version: str = KUBERNETES[-1]) -> str:
    """Render, and fail where Helm does."""
    done = attempt(values, directory, version)
    assert done.returncode == 0, done.stderr
    return done.stdout


def kinds(text: str) -> Kinds:
    """Return kind -> objects."""
    found: Kinds = {}
    for document in yaml.safe_load_all(text):
        if document:
            found.setdefault(document["kind"], []).append(document)
    return found


def pod_of(objects: Kinds) -> dict[str, Any]:
    """The one Deployment's pod template."""
    (deployment,) = objects["Deployment"]
    template: dict[str, Any] = deployment["spec"]["template"]
    return template


def environment(objects: Kinds) -> dict[str, str]:
    """The gateway's environment; every value must be a string, or the API server refuses."""
    (container,) = pod_of(objects)["spec"]["containers"]
    entries = container["env"]
    names = [entry["name"] for entry in entries]
    assert len(names) == len(set(names)), f"set twice: {names}"
    assert all(isinstance(entry["value"], str) for entry in entries), entries
    return {entry["name"]: entry["value"] for entry in entries}


def package(directory: Path) -> Path:
    """Package the chart; return the archive."""
    passes(npm("helm"), "package", CHART, "--destination", directory)
    (archive,) = directory.glob("blackbox-relay-*.tgz")
    return archive
