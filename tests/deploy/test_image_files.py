"""The Dockerfile by reading it; test_image.py builds and runs it."""

from __future__ import annotations

import http.server
import re
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from tests.deploy.tooling import DEPLOY, ROOT, passes, run, script
from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCKERFILE = (ROOT / "Dockerfile").read_text()
FINAL = DOCKERFILE.rpartition("\nFROM ")[2]
PIN = re.compile(r"^([A-Za-z0-9_.-]+)(?:\[[\w,]+\])?==(\S+)", re.MULTILINE)
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def locked(text: str) -> dict[str, tuple[str, frozenset[str]]]:
    """Return name -> (version, hashes) of a requirements file."""
    starts = list(PIN.finditer(text))
    ends = [match.start() for match in starts[1:]] + [len(text)]
    return {
        match[1].lower(): (match[2], frozenset(HASH.findall(text[match.start() : end])))
        for match, end in zip(starts, ends, strict=True)
    }


def test_hadolint_finds_nothing_not_even_style() -> None:
    passes(script("hadolint"), "--failure-threshold", "style", ROOT / "Dockerfile")


def test_process_one_is_the_gateway_so_that_sigterm_reaches_it() -> None:
    assert 'ENTRYPOINT ["blackbox-relay"]' in FINAL
    assert 'CMD ["serve"]' in FINAL
    assert "STOPSIGNAL SIGTERM" in FINAL


def test_the_user_is_a_number_and_not_root() -> None:
    users = re.findall(r"^USER (\S+)", DOCKERFILE, re.MULTILINE)
    assert users == ["10001:10001"]


def test_nothing_is_installed_that_is_not_locked_by_hash() -> None:
    joined = DOCKERFILE.replace("\\\n", " ")
    installs = re.findall(r"pip (?:--python \S+ )?install[^;&\n]*", joined)
    assert len(installs) == 3
    assert all("--require-hashes" in step or "--no-index" in step for step in installs)
    for name in ("requirements.txt", "deploy/requirements-build.txt"):
        assert all(hashes for _, hashes in locked((ROOT / name).read_text()).values())


def test_no_file_names_a_registry() -> None:
    compose = (DEPLOY / "compose.yaml").read_text()
    images = re.findall(r"^\s*image:\s*(\S+)", compose, re.MULTILINE)
    images += re.findall(r"^ARG BASE=(\S+)", DOCKERFILE, re.MULTILINE)
    assert len(images) >= 7
    hosts = [image.split("/")[0] for image in images if "/" in image and "$" not in image]
    assert not [host for host in hosts if "." in host or ":" in host]
    assert "# syntax=" not in DOCKERFILE


def test_build_context_lets_in_what_is_named_and_no_more() -> None:
    rules = [
        line
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert rules[0] == "*"
    copied = [
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
        for source in line.split()[:-1]
    ]
    allowed = {rule[1:] for rule in rules if rule.startswith("!")} - {"deploy"}
    assert {source.removeprefix("./") for source in copied} == allowed


class Answer(http.server.BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/healthz" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@pytest.fixture(params=[200, 503])
def gateway(request: pytest.FixtureRequest) -> Iterator[tuple[int, int]]:
    handler = type("Fixed", (Answer,), {"status": request.param})
    server = http.server.HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port, request.param
    server.shutdown()
    server.server_close()
    thread.join()


def test_health_check_says_what_the_gateway_says(gateway: tuple[int, int]) -> None:
    port, status = gateway
    done = run(
        sys.executable,
        "-I",
        DEPLOY / "healthcheck.py",
        env={"RELAY_PORT": str(port), "http_proxy": "http://127.0.0.1:9"},
    )
    assert done.returncode == (0 if status == 200 else 1)
    assert str(status) in done.stdout


def test_health_check_fails_when_nobody_listens() -> None:
    done = run(
        sys.executable, "-I", DEPLOY / "healthcheck.py", env={"RELAY_PORT": str(free_port())}
    )
    assert done.returncode == 1
    assert "refused" in done.stderr
