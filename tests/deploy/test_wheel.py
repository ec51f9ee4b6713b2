"""The wheel: compiled where there is a C compiler, whole without one, the same each time."""

from __future__ import annotations

import os
import shutil
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from tests.deploy.tooling import ROOT, passes, run

if TYPE_CHECKING:
    from pathlib import Path

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
    return build_from(sources(room), room, **environment)


def build_from(copy: Path, room: Path, **environment: str) -> tuple[int, str]:
    wheel = (sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet")
    options = ("--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", room)
    done = run(*wheel, *options, copy, env=environment, timeout=600)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.nightly
@pytest.mark.timeout(900)
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
    served = ("html", "css", "js", "d.ts")
    found = [path for kind in served for path in (ROOT / "app" / "pages").rglob(f"*.{kind}")]
    pages = {str(path.relative_to(ROOT)) for path in found}
    assert "app/pages/client.js" in pages
    assert {*pages, "app/history/migrations/script.py.mako"} <= set(names)
    assert not [name for name in names if name.endswith((".c", ".o"))]
    path = {"PYTHONPATH": str(tmp_path / "installed"), "PYTHONSAFEPATH": "1"}
    version = passes(sys.executable, "-m", "app", "--version", env=path)
    assert version.strip().endswith(said)


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_a_build_that_must_be_compiled_fails_without_a_compiler(tmp_path: Path) -> None:
    status, _ = build(tmp_path, CC="false", BLACKBOX_RELAY_COMPILE="required")
    assert status != 0


@pytest.mark.parametrize(
    "mode",
    ["no", pytest.param("required", marks=[pytest.mark.nightly, pytest.mark.timeout(1800)])],
    ids=["pure", "compiled"],
)
def test_a_wheel_built_in_two_places_is_the_same_to_the_byte(mode: str, tmp_path: Path) -> None:
    """Other directories of other lengths, another umask and other times of the files."""
    environment = {"BLACKBOX_RELAY_COMPILE": mode, "SOURCE_DATE_EPOCH": "1700000000"}
    first, second = tmp_path / "one", tmp_path / "another" / "and" / "deeper"
    second.mkdir(parents=True)
    assert build(first, **environment) == (0, "")
    before = os.umask(0o077)
    try:
        copy = sources(second)
        for path in copy.rglob("*"):
            path.chmod(0o700 if path.is_dir() else 0o600)
            os.utime(path, (1_600_000_000, 1_600_000_000))
        assert build_from(copy, second, **environment) == (0, "")
    finally:
        os.umask(before)
    (one,), (other,) = first.glob("*.whl"), second.glob("*.whl")
    assert one.name == other.name
    with zipfile.ZipFile(one) as left, zipfile.ZipFile(other) as right:
        assert [vars_of(entry) for entry in left.infolist()] == [
            vars_of(entry) for entry in right.infolist()
        ]
    assert one.read_bytes() == other.read_bytes()


def vars_of(entry: zipfile.ZipInfo) -> tuple[str, int, int, object]:
    """What differs first, named: a file, its contents, its mode, its time."""
    return entry.filename, entry.CRC, entry.external_attr, entry.date_time
