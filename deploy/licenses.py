"""Write docs/LICENSES.md: the runtime dependencies and the licences that they declare.

python -m deploy.licenses
"""
# ruff: noqa: T201 - a script speaks by printing

from __future__ import annotations

from typing import Final

from deploy.locked_packages import ROOT, license_of, locked_packages

TARGET: Final = ROOT / "docs" / "LICENSES.md"
HEAD: Final = """\
# Licences of what the gateway installs

Blackbox Relay itself is MIT (`LICENSE`). Its runtime dependencies, as locked in `requirements.txt`,
with the licence that each declares (SPDX; `deploy/locked_packages.py` says where). None is copied
here, and the image installs them as they are published. `make licenses` writes this file, and
`tests/deploy/test_supply_chain.py` fails where it differs from what is installed, or where a
licence is not among those accepted there.

| package | version | licence |
|---|---|---|
"""
ELSEWHERE: Final = """
Locked for other platforms or older Pythons, and not in the image:

| package | version | installed where |
|---|---|---|
"""


def table() -> str:
    """Return the whole file."""
    here, elsewhere = [], []
    for package in locked_packages():
        row = f"| {package.name} | {package.version} | "
        if package.is_in_image:
            here.append(f"{row}{license_of(package.name)} |\n")
        else:
            elsewhere.append(f"{row}`{package.marker}` |\n")
    return HEAD + "".join(here) + ELSEWHERE + "".join(elsewhere)


if __name__ == "__main__":
    TARGET.write_text(table(), encoding="utf-8")
    print(f"{TARGET.relative_to(ROOT)} is written")
