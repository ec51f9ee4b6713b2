"""Write the software bill of materials of what the image installs: CycloneDX 1.6, JSON.

    python -m deploy.sbom                        to standard output
    python -m deploy.sbom dist/sbom.cdx.json     to a file

Made of requirements.txt and of the installed packages' metadata; the same lock gives the same
bytes. SOURCE_DATE_EPOCH, in seconds since 1970, is its timestamp. Version and revision of the
project itself are those of pyproject.toml and of REVISION, if that is set.
"""
# ruff: noqa: T201 - a script speaks by printing

from __future__ import annotations

import os
import sys
import tomllib
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cyclonedx.model import (
    ExternalReference,
    ExternalReferenceType,
    HashAlgorithm,
    HashType,
    Property,
    XsUri,
)
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from deploy.locked_packages import (
    LOCK,
    PROJECT,
    ROOT,
    LockedPackage,
    license_of,
    locked_packages,
)

NAMESPACE: Final = uuid.UUID("d1e1bf9c-6b54-5a0c-8d4b-1e0d6a3f5c11")


def component_of(package: LockedPackage) -> Component:
    """Describe a package: its files' hashes stand at its distribution, as one of them is used."""
    files = ExternalReference(
        type=ExternalReferenceType.DISTRIBUTION,
        url=XsUri(f"https://pypi.org/project/{package.name}/{package.version}/#files"),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest) for digest in package.hashes],
    )
    return Component(
        type=ComponentType.LIBRARY,
        name=package.name,
        version=package.version,
        bom_ref=package.purl,
        purl=PackageURL("pypi", None, package.name, package.version),
        licenses=[LicenseExpression(license_of(package.name))] if package.is_in_image else [],
        external_references=[files],
        properties=[Property(name="python:marker", value=package.marker)] if package.marker else [],
    )


def project() -> Component:
    """Describe the gateway itself."""
    about = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    revision = os.environ.get("REVISION", "")
    return Component(
        type=ComponentType.APPLICATION,
        name=PROJECT,
        version=about["version"],
        bom_ref=f"pkg:pypi/{PROJECT}@{about['version']}",
        licenses=[LicenseExpression(about["license"])],
        properties=[Property(name="git:revision", value=revision)] if revision else [],
    )


def bill_of_materials(lock: Path = LOCK) -> str:
    """Return the document. Raises `ValueError` for a package whose licence is not known."""
    root = project()
    packages = locked_packages(lock)
    components = {package.name: component_of(package) for package in packages} | {PROJECT: root}
    bom = Bom(
        serial_number=uuid.uuid5(NAMESPACE, lock.read_text(encoding="utf-8")),
        components=[component for component in components.values() if component is not root],
    )
    bom.metadata.component = root
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "0")
    bom.metadata.timestamp = datetime.fromtimestamp(int(epoch), UTC)
    for parent in components:
        needs = [components[p.name] for p in packages if parent in p.needed_by]
        bom.register_dependency(components[parent], needs)
    return JsonV1Dot6(bom).output_as_string(indent=2) + "\n"


if __name__ == "__main__":
    document = bill_of_materials()
    if sys.argv[1:]:
        target = Path(sys.argv[1])
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(document, encoding="utf-8")
        print(f"{target}: {len(locked_packages())} packages")
    else:
        print(document, end="")
