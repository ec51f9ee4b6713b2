"""From files to scenarios; every fault names its file, line and member."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ValidationError

from app.cli.scenarios import model
from app.cli.scenarios.model import Scenario
from app.cli.scenarios.yaml_marks import Document, FaultyYaml, Place, documents
from app.protocol.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from pydantic_core import ErrorDetails

MAX_FILE: Final = 1 << 20
SUFFIXES: Final = frozenset({".yaml", ".yml"})
MEMBERS: Final = sorted(
    {
        name
        for found in vars(model).values()
        if isinstance(found, type) and issubclass(found, BaseModel)
        for name in found.model_fields
    }
)


@dataclass(frozen=True, slots=True)
class LoadedScenario:
    """A scenario and where it is written."""

    path: Path
    name: str
    scenario: Scenario
    document: Document

    def line_of(self, *place: str | int) -> int:
        """The line of a member in the file."""
        return self.document.line_of(place)


def load(paths: Iterable[Path]) -> list[LoadedScenario]:
    """Read all files; a folder stands for its `*.yaml` and `*.yml`.

    Raises `ConfigurationError` with a line for every fault of every file.
    """
    loaded: list[LoadedScenario] = []
    faults: list[str] = []
    for path in _files(paths, faults):
        try:
            loaded += _scenarios(path, faults)
        except FaultyYaml as fault:
            faults.append(f"{path}:{fault.line}: {fault}")
    if faults:
        raise ConfigurationError(faults)
    return loaded


def _files(paths: Iterable[Path], faults: list[str]) -> Iterator[Path]:
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        found = sorted(each for each in path.iterdir() if each.suffix in SUFFIXES)
        if not found:
            faults.append(f"{path}: this folder holds no *.yaml")
        yield from found


def _scenarios(path: Path, faults: list[str]) -> list[LoadedScenario]:
    """The scenarios of one file, one a document. Raises `FaultyYaml`."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_FILE + 1).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        faults.append(f"{path}: cannot be read: {why}")
        return []
    if len(text) > MAX_FILE:
        faults.append(f"{path}: is larger than 1 MiB")
        return []
    read = list(documents(text))
    if not read:
        raise FaultyYaml(1, "holds no scenario")
    found: list[LoadedScenario] = []
    for number, document in enumerate(read, 1):
        scenario = _validated(path, document, faults)
        if scenario is not None:
            numbered = path.stem if len(read) == 1 else f"{path.stem} {number}"
            found.append(LoadedScenario(path, scenario.name or numbered, scenario, document))
    return found


def _validated(path: Path, document: Document, faults: list[str]) -> Scenario | None:
    try:
        return Scenario.model_validate(document.data)
    except ValidationError as invalid:
        for error in invalid.errors(include_input=False, include_url=False):
            place = _place(document.data, error["loc"])
            member = ".".join(map(str, place)) or "scenario"
            faults.append(f"{path}:{document.line_of(place)}: {member}: {_said(error)}")
        return None


def _place(data: Any, location: tuple[str | int, ...]) -> Place:
    """Where an error is in the file: what a short form was made into is not there."""
    place: list[str | int] = []
    for step in location:
        if isinstance(data, dict) and isinstance(step, str):
            place.append(step)
            if step not in data:  # a member that is missing
                break
            data = data[step]
        elif isinstance(data, list) and isinstance(step, int) and step < len(data):
            place.append(step)
            data = data[step]
    return tuple(place)


def _said(error: ErrorDetails) -> str:
    """Pydantic's sentence in a file author's words."""
    kind, message = error["type"], error["msg"]
    if kind == "extra_forbidden":
        name = str(error["loc"][-1])
        close = difflib.get_close_matches(name, MEMBERS, n=1)
        return "is no member" + (f"; did you mean {close[0]}?" if close else "")
    if kind == "missing":
        return "is missing"
    if kind == "string_type":
        return "must be a text: put it in quotes"
    if kind == "too_short":
        return "must not be empty"
    if kind in {"model_type", "model_attributes_type", "dict_type"}:
        return "must be a mapping of members"
    return message.removeprefix("Value error, ").replace("Input should", "should")
