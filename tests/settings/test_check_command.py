"""`blackbox-relay check` says what the configuration is, or what is wrong with it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.support.gateway import ROOT, clean_environment

if TYPE_CHECKING:
    from pathlib import Path


def check(here: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a directory of its own, so that only its own `.env` is read."""
    given = {f"RELAY_{name.upper()}": value for name, value in variables.items()}
    return subprocess.run(
        [sys.executable, "-m", "app", "check"],
        env=clean_environment() | {"PYTHONPATH": str(ROOT)} | given,
        cwd=here,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_good_configuration_is_shown_with_its_secrets_masked(tmp_path: Path) -> None:
    tool = {"url": "https://x.example", "headers": {"X-Key": "canary-header"}}
    server = {"command": "x", "env": {"K": 'canary-"env'}}
    done = check(
        tmp_path,
        blackbox_api_key="canary-key",
        service_tokens="canary-token",
        state_url="redis://:canary-redis@127.0.0.1:1/0",
        agents=json.dumps({"a": {"blackbox_api_key": "canary/agent"}}),
        http_tools=json.dumps({"t": tool}),
        mcp_servers=json.dumps({"m": server}),
        auth="ticket,jwt",
        tenants=json.dumps(
            {
                "shop": {
                    "service_tokens": ["canary-shop-1", "canary-shop-2"],
                    "agents": ["a"],
                    "minutes_per_day": 90,
                    "jwt_secret": "canary-jwt-secret-of-thirty-two-bytes",
                }
            }
        ),
        port="4321",
    )
    assert done.returncode == 0, done.stderr
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert "4321" in lines["RELAY_PORT"]
    assert "set" in lines["RELAY_PORT"]
    assert lines["shop"].split() == ["shop", "a", "2", "minutes_per_day", "90", "its", "own"]
    assert "canary" not in done.stdout + done.stderr


def test_bad_configuration_is_exit_2_with_a_line_for_each_fault(tmp_path: Path) -> None:
    done = check(tmp_path, port="canary-1", auht="canary-2", outbox="3canary")
    assert done.returncode == 2
    told = done.stderr.splitlines()
    assert len(told) == 4
    assert all(line.startswith("error: RELAY_") for line in told)
    assert "canary" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_dotenv_of_the_working_directory_is_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("RELAY_BLACKBOX_API_KEY=from-dotenv\nRELAY_PORT=4567\n")
    done = check(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "4567" in done.stdout
    assert "from-dotenv" not in done.stdout


def test_faults_of_tools_are_configuration_faults_too(tmp_path: Path) -> None:
    done = check(tmp_path, blackbox_api_key="key-1234", tools="no.such.module")
    assert done.returncode == 2
    assert done.stderr.startswith("error: RELAY_TOOLS")


def test_history_url_that_no_driver_understands_is_a_fault_and_not_a_traceback(
    tmp_path: Path,
) -> None:
    url = "postgresql+asyncpg://relay:canary-password@host:canary/name"
    done = check(tmp_path, blackbox_api_key="canary-key", history_url=url)
    assert done.returncode == 2
    (line,) = (done.stdout + done.stderr).strip().splitlines()
    assert "RELAY_HISTORY_URL is no URL of a database" in line
    assert "canary" not in line
