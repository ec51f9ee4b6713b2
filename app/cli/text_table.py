"""Plain tables for terminals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

WIDEST: Final = 40


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out rows under a head; the last column is as wide as it needs to be."""
    lines = [tuple(head), *(tuple(row) for row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(head))]
    widths[-1] = min(widths[-1], WIDEST)
    laid = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    return "\n".join([laid[0], "  ".join("─" * width for width in widths), *laid[1:]])
