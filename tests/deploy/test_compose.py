"""The compose file, by its schema and by what no schema sees; test_compose_start.py starts it."""

from __future__ import annotations

import re
import shutil
import stat
from typing import TYPE_CHECKING, Any

import pytest

from app.settings import load
from tests.deploy.tooling import DEPLOY, binary, passes, script
from tests.deploy.tooling import load as load_yaml

if TYPE_CHECKING:
    from pathlib import Path

COMPOSE = DEPLOY / "compose.yaml"
EMULATED = DEPLOY / "compose.emulator.yaml"
EXAMPLE = DEPLOY / ".env.example"
GATEWAYS = ("gateway-1", "gateway-2")


def interpolated(value: Any, env: dict[str, str]) -> Any:
    """Fill in ${NAME:-default} as compose does."""
    if isinstance(value, str):
        return re.sub(r"\$\{(\w+):-([^}]*)\}", lambda m: env.get(m[1]) or m[2], value)
    if isinstance(value, dict):
        return {key: interpolated(item, env) for key, item in value.items()}
    if isinstance(value, list):
        return [interpolated(item, env) for item in value]
    return value


def example() -> dict[str, str]:
    lines = EXAMPLE.read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


@pytest.fixture
def compose() -> dict[str, Any]:
    return dict(interpolated(load_yaml(COMPOSE), example()))


@pytest.mark.parametrize("path", [COMPOSE, EMULATED], ids=lambda path: path.name)
def test_compose_files_fit_their_schema(path: Path) -> None:
    check = script("check-jsonschema")
    passes(check, "--builtin-schema", "vendor.compose-spec", path)


def test_all_that_was_promised_is_there(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {
        *GATEWAYS, "redis", "haproxy", "postgres", "prometheus", "grafana",
    }  # fmt: skip


def test_a_stop_waits_longer_than_the_drain(compose: dict[str, Any]) -> None:
    env = example()
    drain = float(env["RELAY_DRAIN_DELAY"]) + float(env["RELAY_DRAIN_TIMEOUT"])
    for name in (*GATEWAYS, "haproxy"):
        grace = compose["services"][name]["stop_grace_period"]
        assert float(grace.removesuffix("s")) > drain, name


@pytest.mark.parametrize("name", GATEWAYS)
def test_gateways_may_do_nothing_they_need_not(compose: dict[str, Any], name: str) -> None:
    gateway = compose["services"][name]
    assert gateway["read_only"] is True
    assert gateway["cap_drop"] == ["ALL"]
    assert gateway["security_opt"] == ["no-new-privileges:true"]
    assert gateway["mem_limit"]
    assert gateway["pids_limit"]
    assert "ports" not in gateway


def test_only_haproxy_is_open_to_the_world(compose: dict[str, Any]) -> None:
    published = {
        (name, port)
        for name, service in compose["services"].items()
        for port in service.get("ports", ())
        if not port.startswith("127.0.0.1:")
    }
    assert published == {("haproxy", "8080:8080")}


def test_what_keeps_state_has_no_way_out(compose: dict[str, Any]) -> None:
    assert compose["networks"]["inside"]["internal"] is True
    for name in ("redis", "postgres"):
        assert compose["services"][name]["networks"] == ["inside"]


def test_haproxy_is_told_where_the_gateways_listen(compose: dict[str, Any]) -> None:
    told = compose["services"]["haproxy"]["environment"]
    for number, name in enumerate(GATEWAYS, 1):
        env = compose["services"][name]["environment"]
        assert told[f"RELAY_GATEWAY_{number}"] == f"{name}:{env['RELAY_PORT']}"
        assert told[f"RELAY_INTERNAL_{number}"] == f"{name}:{env['RELAY_INTERNAL_PORT']}"
    used = set(re.findall(r"\$\{(RELAY_\w+)-", (DEPLOY / "haproxy" / "haproxy.cfg").read_text()))
    assert set(told) == used


def test_prometheus_scrapes_every_gateway_by_itself(compose: dict[str, Any]) -> None:
    jobs = load_yaml(DEPLOY / "prometheus" / "prometheus.yml")["scrape_configs"]
    (job,) = [job for job in jobs if job["job_name"] == "blackbox-relay"]
    (targets,) = job["static_configs"]
    port = compose["services"]["gateway-1"]["environment"]["RELAY_INTERNAL_PORT"]
    assert targets["targets"] == [f"{name}:{port}" for name in GATEWAYS]


def test_mounted_files_exist(compose: dict[str, Any]) -> None:
    mounts = [
        volume.split(":")[0]
        for service in compose["services"].values()
        for volume in service.get("volumes", ())
    ]
    here = [mount for mount in mounts if mount.startswith("./")]
    assert len(here) >= 5
    assert [mount for mount in here if not (DEPLOY / mount).exists()] == []
    assert {mount for mount in mounts if not mount.startswith(".")} == set(compose["volumes"])


def test_secrets_script_makes_every_secret_once(compose: dict[str, Any], tmp_path: Path) -> None:
    shutil.copy(DEPLOY / "secrets.sh", tmp_path)
    shell = binary("sh", "dash")
    passes(shell, tmp_path / "secrets.sh")
    directory = tmp_path / "secrets"
    made = {path.name: path.read_text() for path in directory.iterdir()}
    wanted = {item["file"] for item in compose["secrets"].values()}
    assert {f"./secrets/{name}" for name in made} == wanted
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert made["postgres_password"] in made["history_url"]
    assert len({made[name] for name in ("postgres_password", "service_tokens")}) == 2
    assert len(made["service_tokens"]) >= 32
    passes(shell, tmp_path / "secrets.sh")
    assert {path.name: path.read_text() for path in directory.iterdir()} == made


@pytest.mark.parametrize("emulated", [False, True], ids=["vendor", "emulator"])
def test_gateways_accept_the_environment_they_get(
    compose: dict[str, Any], tmp_path: Path, emulated: bool
) -> None:
    shutil.copy(DEPLOY / "secrets.sh", tmp_path)
    passes(binary("sh", "dash"), tmp_path / "secrets.sh")
    over = load_yaml(EMULATED)["services"] if emulated else {}
    for name in GATEWAYS:
        env = example() | compose["services"][name]["environment"]
        env |= over.get(name, {}).get("environment", {})
        for variable, value in env.items():
            if value.startswith("/run/secrets/"):
                secret = value.removeprefix("/run/secrets/")
                assert secret in compose["services"][name]["secrets"]
                env[variable] = str(tmp_path / "secrets" / secret)
        settings = load(env)
        assert settings.history_url is not None
        assert settings.trusted_proxies == (example()["EDGE_SUBNET"],)
        assert settings.demo is emulated


def test_env_example_is_away_from_real_by_the_account_alone() -> None:
    text = EXAMPLE.read_text()
    assert not re.search(r"^\w*(KEY|TOKEN|SECRET|PASSWORD)\w*=", text, re.MULTILINE)
    used = set(re.findall(r"\$\{(\w+):-", COMPOSE.read_text() + EMULATED.read_text()))
    assert used <= set(example())
