"""Builds the wheel, with the way of a frame compiled where there is a C compiler.

Every module with a `.pxd` beside it is compiled; the `.pxd` gives the C types, the module stays
the only source, and runs as it is without a compiler. An editable install compiles nothing: a
library beside a source would win over it, however old. `BLACKBOX_RELAY_COMPILE` is `auto`
(compile if that works), `required` (fail where it does not) or `no`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

DIRECTIVES = {
    "language_level": "3",
    # Annotations are for people and mypy; C types stand in the .pxd, where they are meant.
    "annotation_typing": False,
    "binding": False,
}

# Commands that build no library: an editable install, and the metadata that it asks for first.
UNCOMPILED = frozenset({"editable_wheel", "dist_info", "egg_info"})


def modules(mode: str) -> list[Extension]:
    """Name what is to be compiled."""
    if mode not in {"auto", "required", "no"}:
        sys.exit("BLACKBOX_RELAY_COMPILE must be auto, required or no")
    if mode == "no" or UNCOMPILED.intersection(sys.argv):
        return []
    found = [path.with_suffix("") for path in sorted(Path("app").rglob("*.pxd"))]
    named = [Extension(".".join(path.parts), [f"{path}.py"]) for path in found]
    made = cythonize(named, build_dir="build", compiler_directives=DIRECTIVES)
    for extension in made:  # which are not those that it was given
        extension.optional = mode == "auto"
    return made


setup(ext_modules=modules(os.environ.get("BLACKBOX_RELAY_COMPILE", "auto")))
