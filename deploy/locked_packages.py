"""Read the lock of the runtime dependencies: what is installed, by which hashes, for what.

A licence is what the package's own installed metadata declares, as an SPDX expression
(https://spdx.org/licenses/): `License-Expression` (PEP 639), else `License` or the classifiers
where they name one licence without doubt, else what `READ` says of it.
"""

from __future__ import annotations

import importlib.metadata
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).resolve().parents[1]
LOCK: Final = ROOT / "requirements.txt"
PROJECT: Final = "blackbox-relay"
ENTRY: Final = re.compile(
    r"^(?P<requirement>\S+==.*?) \\\n"
    r"(?P<hashes>(?: +--hash=\S+(?: \\)?\n)+)"
    r"(?P<via>(?: +#.*\n)*)",
    re.MULTILINE,
)
HASH: Final = re.compile(r"--hash=sha256:([0-9a-f]{64})")
VIA: Final = re.compile(r"^ +# +(?:via +)?([A-Za-z0-9][\w.-]*)", re.MULTILINE)
# The image's interpreter (Dockerfile), for markers (PEP 508).
IMAGE: Final = {
    "python_version": "3.12",
    "python_full_version": "3.12.0",
    "sys_platform": "linux",
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
}
# What older metadata says, in the words of SPDX. "BSD License" names no one licence.
SPDX: Final = {
    "MIT": "MIT",
    "MIT License": "MIT",
    "Apache-2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD-3-Clause": "BSD-3-Clause",
    "3-Clause BSD License": "BSD-3-Clause",
    "MPL-2.0": "MPL-2.0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
# Where the metadata leaves it open: read in the licence file that the package brings.
READ: Final = {"google-re2": "BSD-3-Clause", "lupa": "MIT"}


@dataclass(frozen=True, slots=True)
class LockedPackage:
    """One entry of the lock; `marker` says where it is installed ("" is everywhere)."""

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]
    needed_by: tuple[str, ...]

    @property
    def purl(self) -> str:
        """Its package URL (https://github.com/package-url/purl-spec), type pypi."""
        return f"pkg:pypi/{self.name}@{self.version}"

    @property
    def is_in_image(self) -> bool:
        """Whether its marker holds in the image, whatever Python runs this."""
        return not self.marker or Marker(self.marker).evaluate({**IMAGE})


def locked_packages(lock: Path = LOCK) -> list[LockedPackage]:
    """Return the entries of a lock by name. Raises `ValueError` for an entry without a hash."""
    text = lock.read_text(encoding="utf-8")
    found = []
    for match in ENTRY.finditer(text):
        requirement = Requirement(match["requirement"])
        (pin,) = requirement.specifier
        via = {canonicalize_name(name) for name in VIA.findall(match["via"])} - {"via"}
        found.append(
            LockedPackage(
                name=canonicalize_name(requirement.name),
                version=pin.version,
                marker=str(requirement.marker or ""),
                hashes=tuple(sorted(HASH.findall(match["hashes"]))),
                needed_by=tuple(sorted(via)),
            )
        )
    if len(found) != len(re.findall(r"^[A-Za-z0-9].*==", text, re.MULTILINE)):
        raise ValueError(f"{lock.name} has entries without a hash: run `make lock`")
    return sorted(found, key=lambda package: package.name)


def license_of(name: str) -> str:
    """Return the SPDX expression of an installed package.

    Raises `ValueError` where its metadata names no licence that is known here: add the wording to
    `SPDX`, or the package to `READ`, after reading its licence file.
    """
    metadata = importlib.metadata.metadata(name)
    expression: str
    stated: str
    expression, *_ = metadata.get_all("License-Expression") or [""]
    if expression:
        return expression
    stated, *_ = metadata.get_all("License") or [""]
    if stated in SPDX:
        return SPDX[stated]
    classifiers = [
        line.rpartition("::")[2].strip()
        for line in metadata.get_all("Classifier") or ()
        if line.startswith("License ::")
    ]
    if len(classifiers) == 1 and classifiers[0] in SPDX:
        return SPDX[classifiers[0]]
    if name in READ:
        return READ[name]
    raise ValueError(f"the metadata of {name} names no licence that is known: {classifiers}")
