"""Builds the wheel, with the way of a frame compiled where there is a C compiler.

Every module with a `.pxd` beside it is compiled; the `.pxd` gives the C types, the module stays
the only source, and runs as it is without a compiler. An editable install compiles nothing: a
library beside a source would win over it, however old. `BLACKBOX_RELAY_COMPILE` is `auto`
(compile if that works), `required` (fail where it does not) or `no`.

The same sources, tools and SOURCE_DATE_EPOCH give the same bytes, wherever they lie and whatever
the umask: `make wheel` sets it to the time of the commit.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from pathlib import Path
from typing import Any

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel

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
    # Debug information, which Python's own flags ask for, is five times the size of the code. What
    # else names the build's directory is mapped; a compiler's own paths are left as they are.
    flags = [] if sys.platform == "win32" else ["-g0", f"-ffile-prefix-map={Path.cwd()}=."]
    named = [
        Extension(".".join(path.parts), [f"{path}.py"], extra_compile_args=flags) for path in found
    ]
    # Only a process that is forked does not run this file again.
    workers = (os.cpu_count() or 1) if multiprocessing.get_start_method() == "fork" else 0
    made: list[Any] = cythonize(  # type: ignore[no-untyped-call]
        named, build_dir="build", compiler_directives=DIRECTIVES, nthreads=workers
    )
    for extension in made:  # which are not those that it was given
        extension.optional = mode == "auto"
    return made


class ReproducibleWheel(bdist_wheel):  # type: ignore[misc]  # setuptools has no types
    """A wheel whose files' modes do not depend on the umask of who builds it."""

    def write_wheelfile(self, *arguments: Any, **options: Any) -> None:
        """Write the last file of the tree that is packed, then normalise all of them."""
        super().write_wheelfile(*arguments, **options)
        for path in Path(self.bdist_dir).rglob("*"):
            path.chmod(0o755 if path.is_dir() or path.suffix == ".so" else 0o644)


setup(
    ext_modules=modules(os.environ.get("BLACKBOX_RELAY_COMPILE", "auto")),
    cmdclass={"bdist_wheel": ReproducibleWheel},
)
