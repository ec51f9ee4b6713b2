"""At which line of a JSON or YAML text a fault is.

JSON is read as the YAML that it nearly always is (YAML 1.2 §1.3).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FAULT: Final = re.compile(
    r"(RELAY_[A-Z_]+)(?::? (?:is neither |must be a mapping )|: '([^']*)'|: ([^ :]+))"
)


def with_lines(faults: list[str], texts: Mapping[str, tuple[str, str]]) -> list[str]:
    """Add to each fault its line. `texts` holds source and text of each variable in question."""
    return [_with_line(fault, texts) for fault in faults]


def repeated(variable: str, text: str) -> list[str]:
    """A fault for every name that a mapping has twice: readers would take the last one silently."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError):
        return []
    return [f"{variable}: {path} is there twice" for path in _repeated(root, "")]


def _repeated(node: yaml.Node | None, path: str) -> Iterator[str]:
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            name = f"{path}{key.value}"
            if key.value in seen:
                yield name
            seen.add(key.value)
            yield from _repeated(value, f"{name}.")


def _with_line(fault: str, texts: Mapping[str, tuple[str, str]]) -> str:
    found = FAULT.match(fault)
    if found is None or found[1] not in texts:
        return fault
    source, text = texts[found[1]]
    line = line_of(text, found[2] or found[3])
    return fault if line is None else f"{fault} (line {line} of {source})"


def line_of(text: str, path: str | None) -> int | None:
    """The line, from 1, of a member by its dotted path; without one of what is wrong as a whole."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        return None if mark is None else mark.line + 1
    except (yaml.YAMLError, RecursionError):
        return None
    if node is None or path is None:
        return None if node is None else node.start_mark.line + 1
    return _line(node, path)


def _line(node: yaml.Node, path: str) -> int | None:
    """Follow a path as far as it leads: a member that is missing is at the line of its parent."""
    line: int | None = None
    while path and isinstance(node, yaml.MappingNode | yaml.SequenceNode):
        step = _step(node, path)
        if step is None:
            break
        line, node, path = step
    return line


def _step(node: yaml.Node, path: str) -> tuple[int, yaml.Node, str] | None:
    """The line and value of the last member that a path begins with; names may hold dots."""
    if isinstance(node, yaml.SequenceNode):
        head, _, rest = path.partition(".")
        if head.isdecimal() and int(head) < len(node.value):
            item = node.value[int(head)]
            return item.start_mark.line + 1, item, rest
        return None
    for key, value in reversed(node.value):
        name = str(key.value)
        if path == name or path.startswith(f"{name}."):
            return key.start_mark.line + 1, value, path[len(name) + 1 :]
    return None
