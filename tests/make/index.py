"""A package index on loopback in which everything that is locked has a newer release as well.

The packages are empty, with the names, versions and dependencies of those that are installed here:
enough for pip to choose by, and made in a moment. What is not installed here has no dependencies
there. Of some packages there are source archives alone, as on the public index.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import io
import re
import tarfile
import threading
import zipfile
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NEWER: Final = "9999.0"
WITHOUT_WHEEL: Final = ("yattag",)
# The build backend of a source archive (PEP 517): it hands out the wheel that lies beside it.
BACKEND: Final = """
import pathlib, shutil
def build_wheel(directory, config_settings=None, metadata_directory=None):
    (wheel,) = pathlib.Path(".").glob("*.whl")
    shutil.copy(wheel, directory)
    return wheel.name
"""
ENTRY: Final = re.compile(r"^(\S+==.*?) \\\n((?: +--hash=\S+(?: \\)?\n)+)", re.MULTILINE)


class Lock:
    """A requirements file with hashes."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.entries = [Requirement(entry) for entry, _ in ENTRY.findall(text)]

    def here(self) -> dict[str, str]:
        """Name to version of what this interpreter on this machine installs of it."""
        return {
            canonicalize_name(entry.name): next(iter(entry.specifier)).version
            for entry in self.entries
            if entry.marker is None or entry.marker.evaluate({"extra": ""})
        }

    def rewritten(self, hashes: dict[str, str]) -> str:
        """The same file with these hashes by package, where there is one."""

        def replaced(match: re.Match[str]) -> str:
            digest = hashes.get(canonicalize_name(Requirement(match[1]).name))
            return f"{match[1]} \\\n    --hash=sha256:{digest}\n" if digest else match[0]

        return ENTRY.sub(replaced, self.text)


def publish(folder: Path, locked: dict[str, str]) -> dict[str, str]:
    """Write an index of the locked packages, each in its version and a newer one.

    Returns the SHA-256 of each locked one, by name.
    """
    hashes: dict[str, str] = {}
    for name, version in locked.items():
        page = folder / "simple" / name
        page.mkdir(parents=True)
        links = []
        for release in (version, NEWER):
            make = source_archive if name in WITHOUT_WHEEL else wheel
            file, content = make(name, release)
            (page / file).write_bytes(content)
            digest = hashlib.sha256(content).hexdigest()
            links.append(f'<a href="{file}#sha256={digest}">{file}</a>')
            hashes.setdefault(name, digest)
        (page / "index.html").write_text(
            f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>"
        )
    return hashes


def wheel(name: str, version: str) -> tuple[str, bytes]:
    """Make an empty wheel with the dependencies that the installed package of that name has."""
    stem = f"{name.replace('-', '_')}-{version}"
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    for known in importlib.metadata.distributions(name=name):
        lines += [f"Requires-Dist: {line}" for line in known.requires or ()]
        lines += [
            f"Provides-Extra: {line}" for line in known.metadata.get_all("Provides-Extra") or ()
        ]
    files = {
        f"{stem}.dist-info/METADATA": "\n".join([*lines, ""]),
        f"{stem}.dist-info/WHEEL": (
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        ),
    }
    record = f"{stem}.dist-info/RECORD"
    rows = [f"{path},sha256={_digest(text)},{len(text.encode())}" for path, text in files.items()]
    files[record] = "\n".join([*rows, f"{record},,", ""])
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return f"{stem}-py3-none-any.whl", content.getvalue()


def source_archive(name: str, version: str) -> tuple[str, bytes]:
    """Make a source archive that is built to the empty wheel, without any other package."""
    stem = f"{name.replace('-', '_')}-{version}"
    wheel_file, wheel_content = wheel(name, version)
    system = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    files = {
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        "pyproject.toml": system.encode(),
        "backend.py": BACKEND.encode(),
        wheel_file: wheel_content,
    }
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for path, data in files.items():
            entry = tarfile.TarInfo(f"{stem}/{path}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return f"{stem}.tar.gz", content.getvalue()


def _digest(text: str) -> str:
    raw = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class _Quiet(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve an index; gives its URL."""
    handler = partial(_Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/simple"
        finally:
            server.shutdown()
            thread.join()
