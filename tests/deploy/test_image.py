"""The image: built from the Dockerfile, run with next to no rights, talked to, drained."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.deploy.balancer import NO_ANSWER, ask
from tests.deploy.podman import IMAGE, Podman, base, build, podman
from tests.support.gateway import KEY, emulator
from tests.support.ports import free_port
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(1800)]

NATIVE = [Subprotocol("blackbox-relay.v1")]
NAME = "blackbox-relay-proof"
# As compose.yaml and the chart run it.
CONFINED = (
    "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges",
    "--memory=256m", "--pids-limit=128",
)  # fmt: skip


@pytest.fixture(scope="module")
def engine() -> Podman:
    made = podman()
    build(made)
    return made


def inside(engine: Podman, command: str) -> str:
    """Run a shell command in a fresh container of the image."""
    return engine("run", "--rm", "--network=none", "--entrypoint=sh", IMAGE, "-c", command)


@asynccontextmanager
async def running(engine: Podman, secrets: Path, **variables: str) -> AsyncIterator[int]:
    """Run the gateway in a container on the machine's network; yield its port."""
    port = free_port()
    (secrets / "key").write_text(KEY)
    (secrets / "key").chmod(0o444)
    env = {"RELAY_HOST": "127.0.0.1", "RELAY_PORT": str(port), "RELAY_AUTH": "open",
           "RELAY_BLACKBOX_API_KEY_FILE": "/run/secrets/key", **variables}  # fmt: skip
    given = [f"--env={name}={value}" for name, value in env.items()]
    engine.attempt("rm", "--force", NAME)
    engine("run", "--detach", "--name", NAME, "--network=host", *CONFINED,
           f"--volume={secrets}/key:/run/secrets/key:ro", *given, IMAGE)  # fmt: skip

    def ready() -> bool:
        try:
            return ask(port, "/readyz").status == 200
        except NO_ANSWER:
            return False

    try:
        await until(lambda: asyncio.to_thread(ready), within=60, every=0.2)
        yield port
    except AssertionError as fault:
        raise AssertionError(f"{fault}\n{engine.attempt('logs', NAME)}") from fault
    finally:
        engine.attempt("rm", "--force", "--time", "0", NAME)


def test_image_is_slim(engine: Podman, capsys: pytest.CaptureFixture[str]) -> None:
    whole, below = engine.size(IMAGE), engine.size(base(engine))
    with capsys.disabled():
        print(f"\nimage {whole / 1e6:.0f} MB, of which the base has {below / 1e6:.0f} MB")
    assert whole - below < 160e6


def test_nothing_that_builds_is_in_what_runs(engine: Podman) -> None:
    tools = "gcc cc g++ clang ld make pip pip3 git curl"
    found = inside(engine, f"for tool in {tools}; do command -v $tool; done; echo end")
    assert found == "end"
    assert inside(engine, "python -m pip 2>/dev/null || echo none") == "none"
    leftovers = "find / -xdev ( -name '*.whl' -o -path '*/.cache/pip*' ) -not -path '/proc/*'"
    listed = inside(engine, leftovers.replace("(", r"\(").replace(")", r"\)") + "; echo end")
    assert ".whl" not in listed
    assert ".cache/pip" not in listed


def test_the_way_of_a_frame_is_compiled(engine: Podman) -> None:
    assert inside(engine, "blackbox-relay --version").endswith(" (compiled)")


def test_it_is_nobody_who_runs(engine: Podman) -> None:
    assert inside(engine, "id").startswith("uid=10001(relay) gid=10001(relay)")
    assert engine("image", "inspect", "--format", "{{.Config.User}}", IMAGE) == "10001:10001"
    writable = inside(engine, "find /opt /usr /etc -xdev -writable -not -type l; echo end")
    assert writable == "end"


def test_build_secrets_left_no_trace(engine: Podman) -> None:
    assert "BEGIN CERTIFICATE" not in engine("history", "--no-trunc", IMAGE)
    secrets = inside(engine, "ls -A /run/secrets 2>/dev/null; echo end")
    assert secrets == "end"


def test_labels_and_signals_are_set(engine: Podman) -> None:
    (image,) = json.loads(engine("image", "inspect", IMAGE))
    config = image["Config"]
    assert config["Labels"]["org.opencontainers.image.licenses"] == "MIT"
    assert config["StopSignal"] == "SIGTERM"
    assert config["Entrypoint"] == ["blackbox-relay"]
    health = image["Healthcheck"]
    assert health["Test"][0] == "CMD"


async def test_confined_container_serves_and_drains_and_exits_0(
    engine: Podman, tmp_path: Path
) -> None:
    async with (
        emulator() as vendor,
        running(
            engine, tmp_path, RELAY_BLACKBOX_URL=vendor.url, RELAY_DRAIN_DELAY="1",
            RELAY_DRAIN_TIMEOUT="60",
            RELAY_AGENTS='{"default": {"initialize": {"additionalData": {"agent": "echo"}}}}',
        ) as port,
    ):  # fmt: skip
        assert engine.attempt("healthcheck", "run", NAME).returncode == 0
        address = f"ws://127.0.0.1:{port}/ws?call_type=chat"
        async with connect(address, subprotocols=NATIVE, proxy=None) as socket:
            await said(socket.recv, "relay.session")
            engine("kill", "--signal=TERM", NAME)
            await said(socket.recv, "relay.draining")
            assert ask(port, "/readyz").status == 503
            # The conversation goes on, and ends by its own script.
            for text in ("one", "bye"):
                await socket.send(json.dumps({"type": "incomingChatMessage", "content": text}))
                await said(socket.recv, text)
            with pytest.raises(ConnectionClosed):
                await said(socket.recv, "nothing more comes")
            assert socket.close_code == 1000
        status = engine("wait", NAME)
        assert status == "0", engine.attempt("logs", NAME)


async def said(receive: object, word: str) -> None:
    """Read until a frame holds a word."""
    async with asyncio.timeout(20):
        while word not in await receive():  # type: ignore[operator]
            pass


def test_bad_configuration_is_told_by_status_2(engine: Podman) -> None:
    done = engine.attempt("run", "--rm", "--network=none", *CONFINED, IMAGE, "check")
    assert done.returncode == 2
    assert "RELAY_BLACKBOX_API_KEY" in done.stdout + done.stderr
