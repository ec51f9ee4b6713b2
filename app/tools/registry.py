"""Which tools there are: fixed at start, beside those that MCP servers bring later."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from app.protocol.errors import ConfigurationError
from app.tools.declare import DeclaredTool, FunctionTool
from app.tools.files import OURS, import_file, is_file, own_name

if TYPE_CHECKING:
    from app.tools.interface import Schema, Tool
    from app.tools.threads import DaemonThreads


@dataclass(frozen=True, slots=True)
class ToolRow:
    """One line of `tools list`."""

    name: str
    origin: str
    description: str
    timeout: float | None
    parameters: Schema


class Source(Protocol):
    """Tools that come and go while the process runs."""

    def tools(self) -> Mapping[str, Tool]:
        """Return the tools there are now, by name."""
        ...


class Registry(Mapping[str, "Tool"]):
    """Every tool by its name. What was given at start comes before what a source brings."""

    def __init__(self, tools: Iterable[Tool] = (), sources: Sequence[Source] = ()) -> None:
        """Take the tools; raises ConfigurationError naming both origins of each name used twice."""
        own: dict[str, Tool] = {}
        faults: list[str] = []
        for tool in tools:
            first = own.setdefault(tool.name, tool)
            if first is not tool:
                faults.append(
                    f"two tools are called {tool.name!r}: {first.origin} and {tool.origin}"
                )
        if faults:
            raise ConfigurationError(faults)
        self._own = own
        self._sources = tuple(sources)

    def __getitem__(self, name: str) -> Tool:
        if name in self._own:
            return self._own[name]
        for source in self._sources:
            if (tool := source.tools().get(name)) is not None:
                return tool
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        names = dict.fromkeys(self._own)
        for source in self._sources:
            names.update(dict.fromkeys(source.tools()))
        return iter(names)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def override(self, tool: Tool) -> None:
        """Let a tool take the place of what has its name; before the first session."""
        self._own[tool.name] = tool

    def describe(self) -> list[ToolRow]:
        """Return a row for each tool, by name."""
        return [
            ToolRow(tool.name, tool.origin, tool.description, tool.timeout, tool.parameters)
            for _, tool in sorted(self.items())
        ]


def load(paths: Iterable[str], threads: DaemonThreads) -> list[FunctionTool]:
    """Import modules and return their `@tool` functions, each once, in the order of definition.

    A path is a module or a file (`./tools.py`), or `module:name` or `file:name` for one tool of it.
    The working directory is importable, after all that is installed. Raises ConfigurationError with
    one line for every path that fails.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    found: dict[int, FunctionTool] = {}
    faults: list[str] = []
    for path in filter(None, (raw.strip() for raw in paths)):
        location, attribute = _split(path)
        try:
            for declared in _declared(path, location, attribute):
                tool = FunctionTool(declared, threads)
                if is_file(location):
                    tool.origin = f"{location}:{own_name(tool.origin).partition(':')[2]}"
                found.setdefault(id(declared), tool)
        except ConfigurationError as error:
            faults.extend(error.faults)
    if faults:
        raise ConfigurationError(faults)
    return list(found.values())


def _split(path: str) -> tuple[str, str]:
    """The module or file, and the name of one tool of it or nothing."""
    location, colon, attribute = path.rpartition(":")
    return (location, attribute) if colon and not is_file(attribute) else (path, "")


def _declared(path: str, location: str, attribute: str) -> list[DeclaredTool[..., object]]:
    try:
        module = import_file(location) if is_file(location) else importlib.import_module(location)
    except ConfigurationError:
        raise
    except Exception as error:  # noqa: BLE001 - an operator's module is foreign code
        message = f"RELAY_TOOLS: {path} cannot be imported{_cause(error)}{_whose(location)}"
        raise ConfigurationError([message]) from None
    if attribute:
        declared = getattr(module, attribute, None)
        if not isinstance(declared, DeclaredTool):
            message = f"RELAY_TOOLS: {path} is no function with @tool{_whose(location)}"
            raise ConfigurationError([message])
        return [declared]
    every = [value for value in vars(module).values() if isinstance(value, DeclaredTool)]
    if not every:
        message = f"RELAY_TOOLS: {path} has no function with @tool{_whose(location)}"
        raise ConfigurationError([message])
    return every


def _cause(error: Exception) -> str:
    """Why an import failed: never the exception's own text, which may hold a secret."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f": no module named {own_name(error.name)!r}"
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f" ({type(error).__name__} at {Path(frame.filename).name}:{frame.lineno})"


def _whose(location: str) -> str:
    """Explain it to an author whose own package is called as ours is."""
    if is_file(location) or location.partition(".")[0] != OURS.name:
        return ""
    file = f"./{location.replace('.', '/')}.py"
    return f"; {OURS.name} is the gateway's own package: if yours is meant, name its file, {file}"
