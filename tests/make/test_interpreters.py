"""A Python that the long runs need is found, or its absence told with what to do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.websocket import autobahn

ROOT = Path(__file__).parents[2]
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


def find(version: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "tests" / "interpreter.py", version],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_an_interpreter_on_the_path_is_found(tmp_path: Path) -> None:
    (tmp_path / f"python{VERSION}").symlink_to(sys.executable)
    assert find(VERSION, PATH=str(tmp_path)).stdout == f"{tmp_path}/python{VERSION}\n"


@pytest.mark.parametrize("root", ["PYENV_ROOT", "HOME"])
def test_a_shim_that_does_not_run_is_passed_over_for_pyenv_s_own(tmp_path: Path, root: str) -> None:
    script(tmp_path / "shims" / f"python{VERSION}", "exit 127")
    home = tmp_path / ("root" if root == "PYENV_ROOT" else ".pyenv")
    real = home / "versions" / f"{VERSION}.9" / "bin" / f"python{VERSION}"
    script(real, f'exec {sys.executable} "$@"')
    given = {"HOME": str(tmp_path), root: str(home if root == "PYENV_ROOT" else tmp_path)}
    found = find(VERSION, PATH=f"{tmp_path}/shims:/usr/bin:/bin", **given)
    assert found.stdout == f"{real}\n"


def test_another_version_under_the_name_is_not_taken(tmp_path: Path) -> None:
    script(tmp_path / "bin" / "python3.99", f'exec {sys.executable} "$@"')
    found = find("3.99", PATH=str(tmp_path / "bin"), HOME=str(tmp_path))
    assert found.returncode == 1
    assert found.stdout == ""
    assert found.stderr.startswith("Python 3.99 is missing: put python3.99 on the PATH")


def test_autobahn_without_its_python_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(autobahn, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(autobahn, "ROOM", tmp_path / "cache" / "autobahn")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PYENV_ROOT", raising=False)
    with pytest.raises(autobahn.SuiteMissingError, match=r"pyenv install 2\.7\.18"):
        autobahn.install()
