"""Which browser module imports which, read from their sources."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    Graph = dict[Path, frozenset[Path]]

# `import … from './x.js'`, `export … from './x.js'`, `import './x.js'`: a line begins with them.
IMPORT = re.compile(r"^(?:import|export)\b[^'\";]*'(\.{1,2}/[^']+)'", re.MULTILINE)


def module_graph(*modules: Path) -> Graph:
    """These modules and all that they import, each with its direct imports."""
    graph: dict[Path, frozenset[Path]] = {}
    left = [path.resolve() for path in modules]
    while left:
        path = left.pop()
        if path not in graph:
            names = IMPORT.findall(path.read_text(encoding="utf-8"))
            graph[path] = frozenset((path.parent / name).resolve() for name in names)
            left += graph[path]
    return graph


def circle(graph: Graph) -> list[Path]:
    """Modules that import each other in a circle, in order; empty if there are none."""
    done: set[Path] = set()

    def search(path: Path, way: list[Path]) -> list[Path]:
        if path in way:
            return way[way.index(path) :]
        if path in done:
            return []
        found = next(filter(None, (search(one, [*way, path]) for one in sorted(graph[path]))), [])
        done.add(path)
        return found

    return next(filter(None, (search(path, []) for path in sorted(graph))), [])
