"""compose.yaml, started for real by podman-compose: browser to HAProxy to gateway to emulator.

Redis, HAProxy, PostgreSQL and Prometheus are stand-ins made of Debian's packages; no Grafana is to
be had that way, so that service is left out.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import urllib.request
from typing import TYPE_CHECKING

import pytest
import yaml
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from tests.deploy.balancer import NO_ANSWER, ask
from tests.deploy.podman import Podman, base, build, podman
from tests.deploy.tooling import DEPLOY, ROOT, binary, passes, run
from tests.support.ports import free_port
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(1800)]

SERVICES = ("redis", "postgres", "emulator", "gateway-1", "gateway-2", "haproxy", "prometheus")
OWN_LIMITS = ("gateway-1", "gateway-2", "haproxy")
# podman-compose 1.0 does not read the project's name from the file.
FILES = (
    "--project-name", "blackbox-relay", "-f", "compose.yaml", "-f", "compose.emulator.yaml",
    "-f", "compose.here.yaml",
)  # fmt: skip
# Podman's own limit of processes is above what a container may have on some machines.
HERE = {"services": {name: {"ulimits": {"nproc": 4096}} for name in OWN_LIMITS}}
NATIVE = [Subprotocol("blackbox-relay.v1")]


class Started:
    """The running composition: where it is reached, and its logs."""

    def __init__(self, engine: Podman, directory: Path) -> None:
        self.engine = engine
        self.directory = directory
        self.public, self.internal = free_port(), free_port()

    def compose(self, *words: str, timeout: float = 300) -> str:
        return passes(
            binary("podman-compose", "podman-compose"), *FILES, *words,
            cwd=self.directory, env=self.engine.environment, timeout=timeout,
        )  # fmt: skip

    def logs(self) -> str:
        found = []
        for name in self.engine("ps", "--all", "--format", "{{.Names}}").split():
            if name.startswith("blackbox-relay"):
                done = self.engine.attempt("logs", "--tail", "15", name)
                found.append(f"== {name}\n{done.stdout}{done.stderr}")
        return "\n".join(found)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    engine = podman()
    build(engine)
    images = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    for name in ("redis", "haproxy", "prometheus", "postgres"):
        tag = f"localhost/{images[name]['image']}"
        engine(
            "build", "--pull=never", "--network=host", "--format=docker", "--target", name,
            "--build-arg", f"BASE={base(engine)}", "--tag", tag,
            "--file", ROOT / "tests" / "deploy" / "Dockerfile.standins", ROOT / "tests" / "deploy",
            timeout=900,
        )  # fmt: skip
    directory = tmp_path_factory.mktemp("compose") / "deploy"
    shutil.copytree(DEPLOY, directory, ignore=shutil.ignore_patterns("secrets", ".env"))
    running = Started(engine, directory)
    env = (directory / ".env.example").read_text()
    for name, value in {
        "GATEWAY_IMAGE": "localhost/blackbox-relay:latest",
        "PUBLIC_PORT": running.public,
        "INTERNAL_PORT": running.internal,
        # This machine's own limit may be lower than a server's.
        "FILES": 20000,
        "RELAY_DRAIN_TIMEOUT": 20,
    }.items():
        env = "".join(
            f"{name}={value}\n" if line.startswith(f"{name}=") else f"{line}\n"
            for line in env.splitlines()
        )
    (directory / ".env").write_text(env)
    (directory / "compose.here.yaml").write_text(yaml.safe_dump(HERE))
    passes(binary("sh", "dash"), directory / "secrets.sh")
    down = [binary("podman-compose", "podman-compose"), *FILES, "down", "--volumes"]
    run(*down, cwd=directory, env=engine.environment, timeout=120)
    try:
        running.compose("up", "--detach", "--no-build", *SERVICES)
        yield running
    finally:
        run(*down, cwd=directory, env=engine.environment, timeout=400)


async def answers(started: Started, port: int, path: str, status: int = 200) -> None:
    def holds() -> bool:
        try:
            return ask(port, path).status == status
        except NO_ANSWER:
            return False

    try:
        await until(lambda: asyncio.to_thread(holds), within=90, every=0.5)
    except AssertionError as fault:
        raise AssertionError(f"{path}: {fault}\n{started.logs()}") from fault


async def test_conversation_goes_through_all_of_it(started: Started) -> None:
    await answers(started, started.public, "/readyz")
    await answers(started, started.internal, "/v1/sessions", 401)
    ticket = await asyncio.to_thread(mint, started)
    address = f"ws://127.0.0.1:{started.public}/ws?call_type=chat&ticket={ticket}"
    async with connect(address, subprotocols=NATIVE, proxy=None, open_timeout=30) as socket:
        first = json.loads(await socket.recv())
        assert first["name"] == "relay.session"
        session = await asyncio.to_thread(api, started, f"sessions/{first['data']['sessionId']}")
        assert session["subject"] == "walker"
    logs = started.engine.attempt("logs", "blackbox-relay_haproxy_1")
    assert ticket not in logs.stdout + logs.stderr


def mint(started: Started) -> str:
    body = json.dumps({"subject": "walker"}).encode()
    return str(api(started, "tickets", body)["ticket"])


def api(started: Started, route: str, body: bytes | None = None) -> dict[str, str]:
    token = (started.directory / "secrets" / "service_tokens").read_text()
    request = urllib.request.Request(
        f"http://127.0.0.1:{started.internal}/v1/{route}", data=body,
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )  # fmt: skip
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=20) as answer:
        found: dict[str, str] = json.loads(answer.read())
        return found


async def test_prometheus_reaches_both_gateways_and_haproxy(started: Started) -> None:
    await answers(started, started.public, "/readyz")
    name = "blackbox-relay_prometheus_1"
    asking = (
        "import json,urllib.request as u;"
        "print([t['labels']['job'] for t in json.load(u.urlopen("
        "'http://127.0.0.1:9090/api/v1/targets'))['data']['activeTargets'] if t['health']=='up'])"
    )

    def up() -> bool:
        done = started.engine.attempt("exec", name, "python3", "-c", asking)
        return done.stdout.count("'blackbox-relay'") == 2 and "'haproxy'" in done.stdout

    try:
        await until(lambda: asyncio.to_thread(up), within=90, every=1)
    except AssertionError as fault:
        raise AssertionError(f"{fault}\n{started.logs()}") from fault


async def test_one_gateway_drains_while_the_other_serves(started: Started) -> None:
    await answers(started, started.public, "/readyz")
    started.engine("stop", "--time", "60", "blackbox-relay_gateway-1_1", timeout=90)
    status = started.engine(
        "inspect", "--format", "{{.State.ExitCode}}", "blackbox-relay_gateway-1_1"
    )
    assert status == "0", started.logs()
    await answers(started, started.public, "/readyz")
