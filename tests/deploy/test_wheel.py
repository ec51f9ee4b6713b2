"""The wheel: compiled where there is a C compiler, whole where there is none."""

from __future__ import annotations

import shutil
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from tests.deploy.tooling import ROOT, passes, run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(900)]
PARTS = ("pyproject.toml", "setup.py", "README.md", "LICENSE")


def sources(room: Path) -> Path:
    """A copy of what a wheel is built from, in which nothing has been built yet."""
    copy = room / "sources"
    built = shutil.ignore_patterns("__pycache__", "*.so")
    for package in ("app", "blackbox_relay"):
        shutil.copytree(ROOT / package, copy / package, ignore=built)
    for name in PARTS:
        shutil.copy(ROOT / name, copy)
    return copy


def build(room: Path, **environment: str) -> tuple[int, str]:
    wheel = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation")
    done = run(*wheel, "--wheel-dir", room, sources(room), env=environment, timeout=600)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "(compiled)"),
        ({"CC": "false"}, "(not compiled)"),
        ({"BLACKBOX_RELAY_COMPILE": "no"}, "(not compiled)"),
    ],
    ids=["compiler", "no compiler", "not asked for"],
)
def test_a_wheel_runs_with_and_without_a_compiler(
    environment: dict[str, str], said: str, tmp_path: Path
) -> None:
    status, told = build(tmp_path, **environment)
    assert status == 0, told
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "installed")
    pages = {"app/pages/client.js", "app/pages/client/relay.js", "app/pages/client/errors.js"}
    pages |= {"app/pages/widget/element.js", "app/pages/widget.d.ts"}
    assert {*pages, "app/history/migrations/script.py.mako"} <= set(names)
    assert not [name for name in names if name.endswith((".c", ".o"))]
    path = {"PYTHONPATH": str(tmp_path / "installed"), "PYTHONSAFEPATH": "1"}
    version = passes(sys.executable, "-m", "app", "--version", env=path)
    assert version.strip().endswith(said)


def test_a_build_that_must_be_compiled_fails_without_a_compiler(tmp_path: Path) -> None:
    status, _ = build(tmp_path, CC="false", BLACKBOX_RELAY_COMPILE="required")
    assert status != 0
