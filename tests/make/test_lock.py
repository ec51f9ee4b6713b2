"""What is locked is what is installed, whatever has been released since.

The commands are the Makefile's and the Dockerfile's own, read from there.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.deploy.tooling import ROOT, passes
from tests.make.index import Lock, publish, served

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(300)  # a hundred packages, on a busy machine
PROOF = "requirements-proof.txt"
INSTALLED = ("requirements.txt", "requirements-dev.txt", "deploy/requirements-build.txt")
LOCKS = (*INSTALLED, PROOF)
TARGETS = {
    "runtime": "requirements.txt",
    "development": "requirements-dev.txt",
    "proof": PROOF,
}  # of make, below .cache/


def lock(name: str) -> Lock:
    return Lock((ROOT / name).read_text())


class Room:
    """A folder with the lock files, rewritten for the packages of an index on loopback."""

    def __init__(self, folder: Path, index: str, hashes: dict[str, str]) -> None:
        self.folder = folder
        self.locks = {name: lock(name).rewritten(hashes) for name in LOCKS}
        # Nothing that a machine's own pip is told: this index, and no other.
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith("PIP_")
        } | {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": index, "PIP_RETRIES": "0"}

    def environments(self, *names: str) -> None:
        """Make virtual environments that hold nothing but this environment's pip."""
        (pip,) = importlib.metadata.distributions(name="pip")
        script = (Path(sys.executable).parent / "pip").read_text()
        for name in names:
            made = self.folder / name
            passes(sys.executable, "-m", "venv", "--without-pip", made)
            for part in ("pip", f"pip-{pip.version}.dist-info"):
                (site(made) / part).symlink_to(str(pip.locate_file(part)))
            (made / "bin" / "pip").write_text(re.sub("^#!.*", f"#!{made}/bin/python", script))
            (made / "bin" / "pip").chmod(0o755)

    def sh(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a shell command where the lock files are."""
        for name, text in self.locks.items():
            (self.folder / name.rpartition("/")[2]).write_text(text)
        return subprocess.run(
            ["sh", "-euc", command], cwd=self.folder, env=self.environment,
            capture_output=True, text=True, timeout=250, check=False,
        )  # fmt: skip

    def installed(self, environment: str) -> dict[str, str]:
        """Name to version of what is in an environment, without pip."""
        found = importlib.metadata.distributions(path=[str(site(self.folder / environment))])
        versions: dict[str, str] = {
            canonicalize_name(package.name): package.version for package in found
        }
        del versions["pip"]
        return versions


def site(environment: Path) -> Path:
    (found,) = environment.glob("lib/python3*/site-packages")
    return found


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str]]]:
    """The URL of an index with all that is locked, and the hash of each package."""
    folder = tmp_path_factory.mktemp("index")
    locked: dict[str, str] = {
        name: version for lock_ in map(lock, LOCKS) for name, version in lock_.here().items()
    }
    hashes = publish(folder, locked)
    with served(folder) as url:
        yield url, hashes


@pytest.fixture
def room(tmp_path: Path, index: tuple[str, dict[str, str]]) -> Room:
    return Room(tmp_path, *index)


def recipe(target: str, environment: str) -> str:
    """The commands by which make installs one lock, but for the project itself."""
    dry = ["make", "--dry-run", "--always-make", "--no-print-directory"]
    dry += [f"--old-file=.cache/{other}" for other in TARGETS if other != target]
    said = passes(*dry, f"VENV={environment}", f".cache/{target}", cwd=ROOT)
    lines = [line for line in said.splitlines() if " pip " in line and "--editable" not in line]
    assert len(lines) == 2, lines
    return "\n".join(lines)


def dockerfile_steps() -> str:
    """The commands by which the image's build installs what is locked."""
    steps = re.findall(
        r"^RUN (.*?[^\\])$", (ROOT / "Dockerfile").read_text(), re.MULTILINE | re.DOTALL
    )
    (step,) = (step for step in steps if "requirements.txt" in step)
    step = re.sub(r"\\\n", " ", re.sub(r"^(--mount=\S+\s+\\\n\s*)+", "", step))
    step = step.replace("/opt/blackbox-relay/bin/python", "image/bin/python")
    return re.sub(r"(?<=[;\s])pip(?= )", "build/bin/pip", step)


@pytest.mark.parametrize(("target", "name"), TARGETS.items())
def test_make_installs_exactly_the_locked_versions(room: Room, target: str, name: str) -> None:
    room.environments("env")
    done = room.sh(recipe(target, "env"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert room.installed("env") == lock(name).here()


def test_proofs_change_no_version_that_tests_run_with() -> None:
    tests, proof = lock("requirements-dev.txt").here(), lock(PROOF).here()
    assert {"cosmic-ray", "yattag"} <= proof.keys() - tests.keys()
    assert lock("requirements.txt").here().items() <= proof.items()
    assert {name: tests[name] for name in proof.keys() & tests.keys()}.items() <= proof.items()


@pytest.mark.parametrize("target", TARGETS)
def test_what_has_no_wheel_is_built_for_the_proofs_alone(room: Room, target: str) -> None:
    room.environments("env")
    (entry,) = re.findall(r"^yattag==.*\n(?: +--hash.*\n)+", room.locks[PROOF], re.MULTILINE)
    room.locks[TARGETS[target]] = entry
    done = room.sh(recipe(target, "env"))
    if target == "proof":
        assert room.installed("env") == {"yattag": lock(PROOF).here()["yattag"]}
    else:
        assert done.returncode != 0
        assert "No matching distribution found for yattag" in done.stderr
        assert room.installed("env") == {}


def test_the_image_gets_exactly_the_locked_versions(room: Room) -> None:
    room.environments("build", "image")
    done = room.sh(dockerfile_steps())
    assert done.returncode == 0, done.stdout + done.stderr
    assert room.installed("image") == lock("requirements.txt").here()
    assert room.installed("build") == lock("deploy/requirements-build.txt").here()


@pytest.mark.parametrize(
    "command", [recipe("runtime", "env"), dockerfile_steps()], ids=["make", "image"]
)
def test_a_lock_that_lacks_a_dependency_is_refused(room: Room, command: str) -> None:
    """Of the lock there is left what asks for cffi, and what cffi asks for: both, without it."""
    room.environments("env", "build", "image")
    entry = re.compile(r"^(?:cryptography|pycparser)==.*\n(?: +--hash.*\n)+", re.MULTILINE)
    left = entry.findall(room.locks["requirements.txt"])
    assert len(left) == 2
    room.locks["requirements.txt"] = "".join(left)
    done = room.sh(command)
    assert done.returncode != 0
    assert "requires cffi, which is not installed" in done.stdout


@pytest.mark.parametrize("name", LOCKS)
def test_every_entry_has_a_hash(name: str) -> None:
    pins = re.findall(r"^[^\s#].*", (ROOT / name).read_text(), re.MULTILINE)
    assert len(pins) == len(lock(name).entries) > 0


@pytest.mark.parametrize(
    "name",
    [*INSTALLED, pytest.param(PROOF, marks=pytest.mark.nightly)],  # not installed before
)
def test_every_extra_that_a_package_asks_for_is_locked(name: str) -> None:
    """Some versions of pip that resolve take a pin of `name` for none of `name[extra]`."""
    locked: dict[str, set[str]] = {
        canonicalize_name(entry.name): entry.extras for entry in lock(name).entries
    }
    asked = 0
    for package in lock(name).here():
        for line in importlib.metadata.requires(package) or ():
            wanted = Requirement(line)
            contexts = [{"extra": extra} for extra in ("", *locked[package])]
            if wanted.marker is None or any(map(wanted.marker.evaluate, contexts)):
                asked += len(wanted.extras)
                assert wanted.extras <= locked[canonicalize_name(wanted.name)], (package, line)
    assert asked or name == "deploy/requirements-build.txt"


def test_what_builds_the_wheel_is_locked_alike_everywhere() -> None:
    build = lock("deploy/requirements-build.txt")
    development = lock("requirements-dev.txt").text
    blocks = re.findall(r"^(\S+==.*\n(?: +--hash.*\n)+)", build.text, re.MULTILINE)
    assert blocks
    assert all(block in development for block in blocks)
    required = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    assert {str(entry) for entry in build.entries} == set(required)
