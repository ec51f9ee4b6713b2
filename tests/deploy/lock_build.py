"""What builds the wheel inside the image: setuptools and Cython, from requirements-dev.txt.

`python -m tests.deploy.lock_build` writes deploy/requirements-build.txt anew, after a new lock.
"""

from __future__ import annotations

import importlib.metadata
import re

from packaging.requirements import Requirement

from tests.deploy.tooling import DEPLOY, ROOT

TARGET = DEPLOY / "requirements-build.txt"
HEAD = "# What builds the wheel inside the image, by hash: python -m tests.deploy.lock_build\n"
IMAGE = {"python_version": "3.12", "python_full_version": "3.12.0", "extra": ""}


def main() -> None:
    """Write the file."""
    TARGET.write_text(wanted())


def wanted() -> str:
    """Return what the file should hold."""
    needed: set[str] = set()
    waiting = ["setuptools", "cython"]
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name in needed:
            continue
        needed.add(name)
        for line in importlib.metadata.requires(name) or ():
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate(IMAGE):
                waiting.append(requirement.name)
    blocks = re.split(r"\n(?=\S)", (ROOT / "requirements-dev.txt").read_text())
    locked = {block.split("==")[0].lower(): block for block in blocks if "==" in block}
    return HEAD + "".join(
        "\n".join(
            line for line in locked[name].splitlines() if not line.lstrip().startswith("#")
        ).rstrip("\n")
        + "\n"
        for name in sorted(needed)
    )


if __name__ == "__main__":
    main()
