"""Podman with storage of its own, and stand-ins for the images that a registry would have.

The stand-ins are made of Debian's packages: they prove this project's files, not those images.
`RELAY_PROOF_BASE` names another base, such as the official one, to be pulled.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.deploy.tooling import ROOT, binary, passes, run
from tests.interpreter import advice, candidates, is_version

if TYPE_CHECKING:
    import subprocess

BASE: Final = "localhost/python:3.12-slim-bookworm"
IMAGE: Final = "localhost/blackbox-relay:latest"
CACHE: Final = ROOT / ".cache" / "images"
# What the official slim image has beside a minimal Debian.
SLIM: Final = (
    "ca-certificates,netbase,tzdata,libsqlite3-0,libffi8,libbz2-1.0,liblzma5,zlib1g,libexpat1,"
    "libreadline8,libuuid1,libncursesw6,libssl3,libnsl2,libtirpc3,libgdbm6"
)
SET_UP: Final = """set -e
ldconfig
cd /usr/local/bin
rm -f python python3 pip pip3
ln -s python3.12 python3
ln -s python3.12 python
mkdir -p /usr/local/lib/python3.12/site-packages
python -m ensurepip --default-pip
ln -sf pip3.12 pip
rm -rf /var/cache/apt/archives/*.deb /var/lib/apt/lists/*
python -c 'import bz2, ctypes, lzma, sqlite3, ssl, zlib'
"""


@dataclass(frozen=True, slots=True)
class Podman:
    """Podman's command line, with everything it writes below one directory."""

    environment: dict[str, str]

    def __call__(self, *words: str | Path, timeout: float = 60) -> str:
        """Run a command that must succeed; return what it says, without its complaints.

        (Without systemd it complains that nobody runs health checks at their times.)
        """
        done = run(binary("podman", "podman"), *words, env=self.environment, timeout=timeout)
        assert done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}"
        return done.stdout.strip()

    def attempt(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command; the caller judges."""
        return run(binary("podman", "podman"), *words, env=self.environment)

    def has(self, image: str) -> bool:
        return self.attempt("image", "exists", image).returncode == 0

    def size(self, image: str) -> int:
        """In bytes, all layers together."""
        return int(self("image", "inspect", "--format", "{{.Size}}", image))


def podman() -> Podman:
    """Write Podman's configuration, and check that what it calls is there."""
    if os.geteuid() != 0:
        pytest.fail("the image's proof needs root: debootstrap makes device files", pytrace=False)
    for name, package in (
        ("runc", "runc"),
        ("debootstrap", "debootstrap"),
        ("iptables", "iptables"),
    ):
        binary(name, package)
    for name in ("netavark", "aardvark-dns"):
        if not Path(f"/usr/lib/podman/{name}").exists():
            pytest.fail(f"{name} is missing: apt-get install {name}", pytrace=False)
    CACHE.mkdir(parents=True, exist_ok=True)
    # Sockets below the run root have short paths only.
    runroot = Path(tempfile.gettempdir()) / "blackbox-relay-podman"
    files = {
        "containers.conf": (
            # Podman's own defaults are above what a container may have on some machines.
            '[containers]\ndefault_ulimits = ["nofile=20000:20000", "nproc=4096:4096"]\n'
            # crun fails where cgroups are of both versions.
            '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
            '[network]\nnetwork_backend = "netavark"\n'
            f'network_config_dir = "{CACHE}/networks"\n'
        ),
        "storage.conf": (
            f'[storage]\ndriver = "overlay"\ngraphroot = "{CACHE}/storage"\nrunroot = "{runroot}"\n'
        ),
        "registries.conf": "unqualified-search-registries = []\n",
    }
    for name, text in files.items():
        (CACHE / name).write_text(text)
    return Podman(
        {
            "CONTAINERS_CONF": str(CACHE / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(CACHE / "storage.conf"),
            "CONTAINERS_REGISTRIES_CONF": str(CACHE / "registries.conf"),
        }
    )


def base(engine: Podman) -> str:
    """Return the name of an image with Python 3.12, making the stand-in if nobody named one."""
    given = os.environ.get("RELAY_PROOF_BASE")
    if given:
        engine("pull", given, timeout=600)
        return given
    if not engine.has(BASE):
        with tempfile.TemporaryDirectory(dir=CACHE) as made:
            root = Path(made) / "root"
            passes(
                binary("debootstrap", "debootstrap"),
                *("--variant=minbase", f"--include={SLIM}", "bookworm", root),
                timeout=900,
            )
            _add_python(root)
            (root / "set-up.sh").write_text(SET_UP)
            passes(binary("chroot", "coreutils"), root, "sh", "/set-up.sh")
            (root / "set-up.sh").unlink()
            archive = Path(made) / "base.tar"
            passes("tar", "-C", root, "-cf", archive, ".", timeout=120)
            engine("import", archive, BASE, timeout=300)
    return BASE


def _add_python(root: Path) -> None:
    """Copy a Python 3.12 of this machine to /usr/local, as in the official image."""
    found = next((path for path in candidates("3.12") if is_version(path, "3.12")), None)
    if found is None:
        pytest.fail(f"the stand-in image needs a Python 3.12: {advice('3.12')}", pytrace=False)
    prefix = Path(passes(found, "-c", "import sys; print(sys.base_prefix)").strip())
    left_out = shutil.ignore_patterns("site-packages", "test", "config-3.12*", "__pycache__")
    (root / "usr/local/bin").mkdir(parents=True, exist_ok=True)
    shutil.copy(prefix / "bin" / "python3.12", root / "usr/local/bin")
    for library in (prefix / "lib").glob("libpython3*"):
        shutil.copy(library, root / "usr/local/lib", follow_symlinks=False)
    shutil.copytree(prefix / "include" / "python3.12", root / "usr/local/include/python3.12")
    shutil.copytree(
        prefix / "lib" / "python3.12", root / "usr/local/lib/python3.12",
        ignore=left_out, symlinks=True,
    )  # fmt: skip


def build(engine: Podman) -> str:
    """Build the image from the Dockerfile as it stands; return what the build said."""
    authority = next(
        (path for name in ("PIP_CERT", "SSL_CERT_FILE") if (path := os.environ.get(name))), None
    )
    secrets = [f"--secret=id=ca,src={authority}"] if authority else []
    return engine(
        "build",
        *("--pull=never", "--network=host", "--format=docker", *secrets),
        *("--build-arg", f"BASE={base(engine)}", "--tag", IMAGE, ROOT),
        timeout=1200,
    )
