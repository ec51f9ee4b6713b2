"""Where the deployment files are, and the programs that judge them. A missing one is a failure."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm" / "blackbox-relay"
NPM = Path(__file__).parent


def binary(name: str, package: str) -> str:
    """Return the path of a program, or fail saying which Debian package carries it."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        pytest.fail(f"{name} is missing: apt-get install {package}", pytrace=False)
    return found


def script(name: str) -> str:
    """Return the path of a program that requirements-dev.txt brings."""
    path = Path(sys.executable).parent / name
    if not path.exists():
        pytest.fail(f"{name} is missing: pip install -r requirements-dev.txt", pytrace=False)
    return str(path)


def npm(name: str) -> str:
    """Return the path of a program that package-lock.json brings, installing it first."""
    wanted = json.loads((NPM / "package-lock.json").read_text())["packages"]
    installed = NPM / "node_modules" / ".package-lock.json"
    have = json.loads(installed.read_text())["packages"] if installed.exists() else {}
    if any(
        have.get(path, {}).get("version") != entry["version"]
        for path, entry in wanted.items()
        if path
    ):
        done = subprocess.run(
            [binary("npm", "npm"), "ci", "--ignore-scripts"],
            cwd=NPM,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    return str(NPM / "node_modules" / ".bin" / name)


def run(
    *command: str | Path,
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
    timeout: float = 60,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; the caller judges its status and words."""
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        timeout=timeout,
        capture_output=True,
        text=True,
        check=False,
    )


def passes(*command: str | Path, **options: Any) -> str:
    """Run a program that must exit 0; return both of its streams."""
    done = run(*command, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def load(path: Path) -> Any:
    """Read one YAML document."""
    return yaml.safe_load(path.read_text())
