"""A small disk, and how to fill it."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def open_home() -> Iterator[Path]:
    """Make a directory that a server without rights can walk into."""
    home = Path(tempfile.mkdtemp(prefix="relay-disk-"))
    home.chmod(0o755)
    try:
        yield home
    finally:
        shutil.rmtree(home)


@contextmanager
def small_disk(where: Path, size: str) -> Iterator[Path]:
    """Mount a disk of that size; where that is not allowed, the test fails and says so."""
    where.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0777", "none", where],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, (
        "This test fills a small disk, and must mount one: run it as root, or in a container "
        f"with CAP_SYS_ADMIN. mount said: {done.stderr.decode()}"
    )
    try:
        yield where
    finally:
        subprocess.run(["umount", "-l", where], check=True)


def fill(ballast: Path) -> None:
    """Write until nothing more fits."""
    with ballast.open("wb", buffering=0) as file:
        try:
            for size in (65536, 4096):
                while file.write(b"x" * size) == size:
                    pass
        except OSError:
            pass
