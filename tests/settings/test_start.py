"""A start loads what is configured, and nothing else: each of these takes longer than the rest."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from tests.support.gateway import ROOT, clean_environment

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = {"sqlalchemy", "alembic", "redis", "jwt", "cryptography", "mcp", "opentelemetry.sdk"}


def loaded(here: Path, **variables: str) -> set[str]:
    """Which of the heavy packages are imported until everything is put together."""
    given = {f"RELAY_{name.upper()}": value for name, value in variables.items()}
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "app", "check"],
        env=clean_environment() | {"PYTHONPATH": str(ROOT), "RELAY_BLACKBOX_API_KEY": "k"} | given,
        cwd=here,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    modules = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "app.bootstrap.application" in modules
    return HEAVY & modules


def test_a_bare_gateway_imports_none_of_them(tmp_path: Path) -> None:
    assert loaded(tmp_path, auth="ticket", service_tokens="t") == set()


def test_what_is_configured_is_imported(tmp_path: Path) -> None:
    found = loaded(
        tmp_path,
        auth="jwt",
        jwt_secret="a-secret-of-thirty-two-bytes-at-least",
        state_url="redis://127.0.0.1:1/0",
        history_url="sqlite+aiosqlite:///nowhere.db",
        mcp_servers='{"orders": {"command": "x"}}',
    )
    assert found >= {"sqlalchemy", "alembic", "redis", "jwt", "cryptography", "mcp"}
