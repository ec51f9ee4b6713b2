"""How cost grows with the number of sessions, drawn from a report: bars by size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from xml.sax.saxutils import escape

from tests.bench.picture import STYLE

if TYPE_CHECKING:
    from collections.abc import Callable

WIDTH: Final = 960
MARGIN: Final = 32
LABEL: Final = 110
BAR: Final = 14
STEP: Final = 22
HEAD: Final = 92
PANEL_WIDTH: Final = (WIDTH - 3 * MARGIN) // 2
LONGEST: Final = PANEL_WIDTH - LABEL - 80

Stage = dict[str, Any]
PANELS: Final[tuple[tuple[str, str, int, Callable[[Stage], float]], ...]] = (
    (
        "Primaries' CPU per session that asks to enter",
        "µs",
        0,
        lambda stage: stage["redis_us_per_attempt"],
    ),
    ("Primaries' memory per session", "B", 0, lambda stage: stage["bytes_per_session"]),
    ("A page of 100, of all", "ms", 1, lambda stage: stage["pages"]["deep"]["median_ms"]),
    ("A page of 100, of a tenant", "ms", 1, lambda stage: stage["pages"]["tenant"]["median_ms"]),
    (
        "A page of 100, of one agent of 20",
        "ms",
        1,
        lambda stage: stage["pages"]["agent, deep"]["median_ms"],
    ),
    (
        "A primary's CPU, memory or keys, at most",
        "of mean",
        2,
        lambda stage: max(max(stage["shares"][name]) for name in ("cpu", "memory", "keys")),
    ),
)


def draw(report: dict[str, Any]) -> str:
    """Return the picture as SVG."""
    stages: list[Stage] = report["growth"]
    panel_height = 34 + STEP * len(stages) + 22
    height = HEAD + (len(PANELS) + 1) // 2 * panel_height + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        "<title>What live sessions cost a Redis Cluster, by their number</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="page" x=".5" y=".5" width="{WIDTH - 1}" height="{height - 1}" rx="10"/>',
        _text(MARGIN, 42, "What live sessions cost, by their number", "title"),
        _text(MARGIN, 66, _subtitle(report)),
    ]
    for index, panel in enumerate(PANELS):
        x = MARGIN + index % 2 * (PANEL_WIDTH + MARGIN)
        y = HEAD + index // 2 * panel_height
        parts += _panel(stages, panel, x, y)
    loads = ", ".join(f"{stage['load']:.0f}" for stage in stages)
    about = f"{report['date'][:10]}, {report['machine']['processors']} cores, load {loads}"
    parts.append(_text(MARGIN, height - 20, about, "small"))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _subtitle(report: dict[str, Any]) -> str:
    return (
        f"{report['replicas']} simulated replicas, six Redis servers, caps of "
        f"{report['caps']['subject']} and {report['caps']['address']}. Pages: the median of nine."
    )


def _panel(
    stages: list[Stage],
    panel: tuple[str, str, int, Callable[[Stage], float]],
    x: int,
    y: int,
) -> list[str]:
    title, unit, digits, figure = panel
    parts = [_text(x, y + 20, title, "panel")]
    longest = max(figure(stage) for stage in stages) or 1
    for index, stage in enumerate(stages):
        top, value = y + 34 + index * STEP, figure(stage)
        width = max(1.5, value / longest * LONGEST)
        parts += [
            _text(x, top + BAR - 2, f"{stage['sessions']:,}"),
            f'<rect class="ours" x="{x + LABEL}" y="{top}" width="{width:.1f}" height="{BAR}"/>',
            _text(x + LABEL + width + 6, top + BAR - 2, f"{value:.{digits}f} {unit}", "value"),
        ]
    return parts


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    attribute = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.0f}" y="{y:.0f}"{attribute}>{escape(text)}</text>'
