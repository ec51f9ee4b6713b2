"""What the image is made of: its bill of materials, its licences, its known vulnerabilities."""

from __future__ import annotations

import json
import re
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import cyclonedx.schema._res
import pytest
from jsonschema import Draft7Validator
from license_expression import get_spdx_licensing
from referencing import Registry, Resource

from deploy.licenses import TARGET, table
from deploy.locked_packages import license_of, locked_packages
from deploy.sbom import bill_of_materials
from tests.deploy.tooling import ROOT, run
from tests.make.index import Lock

# Licences that allow the image to be passed on as it is: permissive ones, and MPL-2.0, whose terms
# hold for its own files alone. Another one is a decision, and not a default.
ACCEPTED = {"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "MIT", "MIT-0", "MPL-2.0", "PSF-2.0"}


def schema() -> Draft7Validator:
    """The published JSON schema of CycloneDX 1.6, with those that it refers to."""
    folder = resources.files(cyclonedx.schema._res)

    def read(name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            folder.joinpath(f"{name}.SNAPSHOT.schema.json").read_text()
        )
        return found

    main = read("bom-1.6")
    others = [read("spdx"), read("jsf-0.82")]
    registry = Registry().with_resources(
        [(part["$id"], Resource.from_contents(part)) for part in others]
    )
    return Draft7Validator(main, registry=registry)


@pytest.fixture(scope="module")
def bill() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(bill_of_materials())
    return found


def test_the_bill_of_materials_fits_the_schema_of_cyclonedx(bill: dict[str, Any]) -> None:
    assert [error.message for error in schema().iter_errors(bill)] == []
    spoiled = {**bill, "components": [{**bill["components"][0], "type": "thing"}]}
    assert not schema().is_valid(spoiled)


def test_the_bill_of_materials_is_the_lock(bill: dict[str, Any]) -> None:
    text = (ROOT / "requirements.txt").read_text()
    listed = {part["name"]: part for part in bill["components"]}
    assert {name: part["version"] for name, part in listed.items()} == {
        re.sub(r"[-_.]+", "-", entry.name).lower(): next(iter(entry.specifier)).version
        for entry in Lock(text).entries
    }
    hashes = {
        digest["content"]
        for part in bill["components"]
        for reference in part["externalReferences"]
        for digest in reference["hashes"]
    }
    assert hashes == set(re.findall(r"sha256:([0-9a-f]{64})", text))
    assert all(part["purl"] == f"pkg:pypi/{n}@{part['version']}" for n, part in listed.items())


def test_every_part_of_the_bill_is_needed_by_another(bill: dict[str, Any]) -> None:
    needs = {entry["ref"]: set(entry.get("dependsOn", ())) for entry in bill["dependencies"]}
    found, look = set(), {bill["metadata"]["component"]["bom-ref"]}
    while look:
        found |= look
        look = set().union(*(needs[ref] for ref in look)) - found
    assert found >= {part["bom-ref"] for part in bill["components"]}


def test_the_same_lock_gives_the_same_bill(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    first = bill_of_materials()
    assert first == bill_of_materials()
    assert json.loads(first)["metadata"]["timestamp"] == "2023-11-14T22:13:20+00:00"


def test_an_entry_without_a_hash_is_refused(tmp_path: Path) -> None:
    spoiled = tmp_path / "requirements.txt"
    spoiled.write_text((ROOT / "requirements.txt").read_text() + "another==1.0\n")
    with pytest.raises(ValueError, match="entries without a hash"):
        locked_packages(spoiled)


def test_the_document_of_licences_is_what_the_packages_declare() -> None:
    assert TARGET.read_text() == table(), "run `make licenses`"


@pytest.mark.parametrize("name", [p.name for p in locked_packages() if p.is_in_image])
def test_every_licence_is_one_of_those_accepted(name: str) -> None:
    spdx = get_spdx_licensing()
    symbols = {str(key) for key in spdx.license_keys(spdx.parse(license_of(name), validate=True))}
    assert symbols
    assert symbols <= ACCEPTED


def package(**more: object) -> dict[str, object]:
    return {"name": "h11", "version": "0.16.0", **more}


VULNERABLE = package(vulns=[{"id": "PYSEC-1", "fix_versions": ["0.16.1"]}])


@pytest.mark.parametrize(
    ("reported", "status", "said"),
    [
        ([package(vulns=[])], 0, "1 packages looked up, 0 known vulnerabilities"),
        ([VULNERABLE], 1, "h11 0.16.0: PYSEC-1, mended in 0.16.1"),
        ([package(skip_reason="not found"), VULNERABLE], 2, "some packages could not be looked up"),
        ([], 2, "some packages could not be looked up"),
        (None, 2, "the vulnerability database could not be asked"),
    ],
    ids=["clean", "vulnerable", "mirror", "empty", "unreachable"],
)
def test_an_audit_is_clean_only_where_everything_was_looked_up(
    reported: list[object] | None, status: int, said: str, tmp_path: Path
) -> None:
    """The script is ours, and real; pip-audit, which asks the internet, is played by a file."""
    tool = tmp_path / ".cache" / "audit" / "bin" / "pip-audit"
    tool.parent.mkdir(parents=True)
    found = any("vulns" in p and p["vulns"] for p in reported or () if isinstance(p, dict))
    write = (
        ""
        if reported is None
        else f"cat > \"$file\" <<'E'\n{json.dumps({'dependencies': reported})}\nE\n"
    )
    tool.write_text(
        '#!/bin/sh\nwhile [ $# -gt 0 ]; do [ "$1" = --output ] && file=$2; shift; done\n'
        f"{write}exit {int(found or reported is None)}\n"
    )
    tool.chmod(0o755)
    done = run(ROOT / "deploy" / "audit.sh", Path(sys.executable).parent, cwd=tmp_path)
    assert done.returncode == status, done.stderr
    assert said in done.stdout + done.stderr
    assert ("could not check" in done.stderr) == (status == 2)


def test_an_audit_without_an_index_says_that_nothing_was_checked(tmp_path: Path) -> None:
    nowhere = {
        "PIP_INDEX_URL": "http://127.0.0.1:9/",
        "PIP_RETRIES": "0",
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_NO_INDEX": "1",
    }
    done = run(
        ROOT / "deploy" / "audit.sh",
        Path(sys.executable).parent,
        cwd=tmp_path,
        env=nowhere,
        timeout=60,
    )
    assert done.returncode == 2
    assert "could not be installed from the package index" in done.stderr
    assert "in CI for example" in done.stderr
