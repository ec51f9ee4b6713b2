"""YAML that knows on which line each of its members is.

Scalars are read as YAML 1.2 has them: `yes` and `12:30` are texts, not a boolean and a number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import yaml

from app.protocol.errors import RelayError

if TYPE_CHECKING:
    from collections.abc import Iterator

Place = tuple[str | int, ...]
"""The way to a member: keys of mappings and positions in sequences."""

MAX_NODES: Final = 100_000
MAX_DEPTH: Final = 64


class FaultyYaml(RelayError, ValueError):  # noqa: N818 - what is faulty is the file
    """A text that is not the YAML that is wanted; `line` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document: its data, and the line of every member by its place."""

    data: Any
    lines: dict[Place, int]

    def line_of(self, place: Place) -> int:
        """The line of a member, or of the nearest one around it."""
        for end in range(len(place), 0, -1):
            if (line := self.lines.get(place[:end])) is not None:
                return line
        return self.lines.get((), 1)


class _Loader(yaml.SafeLoader):
    """Composes nodes and constructs scalars."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


for _tag, _regexp, _first in (
    ("null", r"~|null|Null|NULL|", "~nN"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+)(?:[eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_regexp})\Z"), [*_first]
    )
_Loader.yaml_implicit_resolvers.setdefault("", []).append(
    ("tag:yaml.org,2002:null", re.compile(r"\Z"))
)


def documents(text: str) -> Iterator[Document]:
    """Read every document of a text. Raises `FaultyYaml`."""
    loader: _Loader | None = None
    try:
        loader = _Loader(text)
        while loader.check_node():
            node = loader.get_node()
            if node is None:
                break
            lines: dict[Place, int] = {}
            yield Document(_Reader(loader, lines).read(node, (), 0), lines)
    except yaml.MarkedYAMLError as fault:
        mark = fault.problem_mark or fault.context_mark
        line = 1 if mark is None else mark.line + 1
        raise FaultyYaml(line, f"is no YAML: {fault.problem or fault.context}") from None
    except yaml.YAMLError as fault:
        line = text.count("\n", 0, getattr(fault, "position", 0)) + 1
        raise FaultyYaml(line, "is no YAML: it holds a character that YAML forbids") from None
    finally:
        if loader is not None:
            loader.dispose()


class _Reader:
    """Turns nodes into data; aliases may multiply nodes, so these are counted."""

    def __init__(self, loader: _Loader, lines: dict[Place, int]) -> None:
        self._loader = loader
        self._lines = lines
        self._nodes = 0

    def read(self, node: yaml.Node, place: Place, depth: int) -> Any:
        line = node.start_mark.line + 1
        self._lines.setdefault(place, line)
        self._nodes += 1
        if self._nodes > MAX_NODES or depth > MAX_DEPTH:
            raise FaultyYaml(line, "is too large: too many members, or too deep")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*place, at), depth + 1) for at, item in enumerate(node.value)]
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, place: Place, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag == "tag:yaml.org,2002:merge":
                raise FaultyYaml(line, "<< is not known here: write the members out")
            key = self._scalar(key_node) if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str):
                raise FaultyYaml(line, "a member's name must be a text: put it in quotes")
            if key in found:
                raise FaultyYaml(line, f"{key} is there twice")
            self._lines[*place, key] = line
            found[key] = self.read(value, (*place, key), depth + 1)
        return found

    def _scalar(self, node: yaml.Node) -> Any:
        try:
            return self._loader.construct_object(node)
        except ValueError:  # of Python's own: a number with too many digits
            raise FaultyYaml(node.start_mark.line + 1, "is no number that can be read") from None
