"""Finds the interpreter of a version: `python tests/interpreter.py 3.12` prints its path.

Looked for on the PATH and among pyenv's versions. Exit status 1, with what to do, if there is none.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def main() -> int:
    """Print the path of the version's interpreter."""
    (version,) = sys.argv[1:]
    for candidate in candidates(version):
        if is_version(candidate, version):
            print(candidate)
            return 0
    print(f"Python {version} is missing: {advice(version)}", file=sys.stderr)
    return 1


def advice(version: str) -> str:
    """What to do where there is none."""
    return f"put python{version} on the PATH, or `pyenv install {version}`"


def candidates(version: str) -> Iterator[str]:
    """Yield where an interpreter of that version may be."""
    if found := shutil.which(f"python{version}"):
        yield found
    given = os.environ.get("PYENV_ROOT")
    for root in (*([Path(given)] if given else []), Path.home() / ".pyenv"):
        yield from map(str, sorted(root.glob(f"versions/{version}*/bin/python{version}")))


def is_version(python: str, version: str) -> bool:
    """Whether it runs and is that version: pyenv's shim is there for versions not chosen, too."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return done.returncode == 0 and done.stdout.strip() == version


if __name__ == "__main__":
    sys.exit(main())
