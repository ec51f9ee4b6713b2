"""Tools by the path of their file, in which a backend's own `app` is not taken for ours.

A file is imported as it would be by a program in its folder (if it is in a package, in the folder
that holds the outermost one): what lies there is found first, then what is installed, then what
lies in the working directory. A package `app` in either folder is meant before the gateway's own.
What is imported from the file's folder has names of its own in `sys.modules`, so that files of one
name in two folders are not taken for each other. Only import statements are led so: a call of
`importlib.import_module("app")` finds the gateway.
"""

from __future__ import annotations

import builtins
import hashlib
import importlib
import importlib.util
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import blackbox_relay
from app.protocol.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import ModuleType

OURS: Final = Path(__file__).resolve().parents[1]
PREFIX: Final = "relay_tools_"


def is_file(location: str) -> bool:
    """Whether a location in RELAY_TOOLS is a file's path and no import path."""
    return "/" in location or location.endswith(".py")


def import_file(location: str) -> ModuleType:
    """Import a file; raises ConfigurationError if it is not there, and whatever it raises itself.

    A relative path starts at the working directory. A file is imported once, however often named.
    """
    file = Path(location).expanduser().resolve()
    if not file.is_file():
        message = f"RELAY_TOOLS: {location} is no file (looked for in {Path.cwd()})"
        raise ConfigurationError([message])
    parts = [] if file.stem == "__init__" else [file.stem]
    folder = file.parent
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    return importlib.import_module(".".join((_root(folder), *parts)))


def own_name(name: str) -> str:
    """A module's name as its author knows it."""
    alias, _, rest = name.partition(".")
    return rest if alias.startswith(PREFIX) else name


def _root(folder: Path) -> str:
    """The name under which what lies in a folder is imported."""
    alias = PREFIX + hashlib.sha256(bytes(folder)).hexdigest()[:12]
    if alias not in sys.modules:
        spec = ModuleSpec(alias, None, is_package=True)
        spec.submodule_search_locations = [str(folder)]
        sys.modules[alias] = importlib.util.module_from_spec(spec)
        sys.meta_path.insert(0, _Folder(alias, folder))
    return alias


class _Folder(MetaPathFinder):
    """Imports what lies in a folder, under the folder's alias."""

    def __init__(self, alias: str, folder: Path) -> None:
        self._alias = alias
        self._folder = folder
        # An import statement calls the `__import__` among its own module's builtins.
        self._builtins = {**vars(builtins), "__import__": self._import}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module of the folder; its import statements look there first."""
        if not fullname.startswith(f"{self._alias}."):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(fullname, spec.loader.path, self._builtins)
        return spec

    def _import(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,  # noqa: A002
        locals: Mapping[str, Any] | None = None,  # noqa: A002
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        alias = None if level else self._alias_of(name)
        if alias is None:
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        if fromlist:
            return builtins.__import__(f"{alias}.{name}", globals, locals, fromlist, 0)
        importlib.import_module(f"{alias}.{name}")
        return sys.modules[f"{alias}.{name.partition('.')[0]}"]

    def _alias_of(self, name: str) -> str | None:
        """Return the alias under which a module is to be imported, None for its plain name."""
        top = name.partition(".")[0]
        folders = [self._folder]
        if top == OURS.name:
            folders.append(Path.cwd().resolve())
        for folder in folders:
            if _holds(folder, top) and _exists(name, alias := _root(folder)):
                return alias
        return None


def _holds(folder: Path, top: str) -> bool:
    """Whether a folder has this module or package, and it is none of the gateway's."""
    place = folder / top
    if top == blackbox_relay.__name__ or place == OURS:
        return False
    return (
        place.with_suffix(".py").is_file()
        or (place / "__init__.py").is_file()
        # A folder alone is a package only where no other is found, as Python has it.
        or (place.is_dir() and (top == OURS.name or not _is_known(top)))
    )


def _exists(name: str, alias: str) -> bool:
    try:
        return importlib.util.find_spec(f"{alias}.{name}") is not None
    except ModuleNotFoundError as missing:
        if own_name(missing.name or "") == missing.name:
            raise  # one of its packages imports something that is missing
        return False


class _Loader(SourceFileLoader):
    """Loads a source file as ever, but for its builtins."""

    def __init__(self, name: str, path: str, builtins: dict[str, Any]) -> None:
        super().__init__(name, path)
        self._builtins = builtins

    def exec_module(self, module: ModuleType) -> None:
        """Run the module's code."""
        vars(module)["__builtins__"] = self._builtins
        super().exec_module(module)


def _is_known(top: str) -> bool:
    return top in sys.modules or importlib.util.find_spec(top) is not None
