"""The picture beside the README: bars, ours among theirs, fit for light pages and dark ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

from tests.bench.table import rounds_of, versions

if TYPE_CHECKING:
    from tests.bench.figures import Report

SHOWN: Final = (
    ("nginx", "nginx"),
    ("haproxy", "HAProxy"),
    ("gateway", "Blackbox Relay"),
    ("gateway-history", "with history *"),
    ("node", "Node ws"),
    ("aiohttp-uvloop", "aiohttp, uvloop"),
    ("fastapi", "FastAPI + websockets"),
    ("fastapi-deflate", "FastAPI, compression"),
)


@dataclass(frozen=True, slots=True)
class Panel:
    """One set of bars."""

    title: str
    figure: str
    unit: str
    digits: int


PANELS: Final = (
    Panel("CPU per message, 250 B, worst kind of frame", "us_250", "µs", 1),
    Panel("CPU per message, 4 KB, worst kind of frame", "us_4096", "µs", 1),
    Panel("CPU per message, bursts of 8, worst kind", "us_burst", "µs", 1),
    Panel("Added to a round trip at light load, median", "p50_added", "µs", 0),
    Panel("Memory per idle session", "kib_most", "KiB", 0),
    Panel("CPU to set a session up", "setup_ms", "ms", 2),
)

WIDTH: Final = 960
MARGIN: Final = 32
LABEL: Final = 148
BAR: Final = 14
STEP: Final = 22
HEAD: Final = 92
PANEL_WIDTH: Final = (WIDTH - 3 * MARGIN) // 2
LONGEST: Final = PANEL_WIDTH - LABEL - 70

STYLE: Final = """
.page { fill: #ffffff; stroke: #d8dee4 }
text {
  font: 13px -apple-system, 'Segoe UI', Roboto, 'Noto Sans', Helvetica, sans-serif;
  fill: #57606a
}
.title { font-size: 20px; font-weight: 600; fill: #1f2328 }
.panel { font-size: 14px; font-weight: 600; fill: #1f2328 }
.small { font-size: 11px }
.value { font-variant-numeric: tabular-nums }
.bar { fill: #afb8c1 }
.native { fill: #7d8fa3 }
.ours { fill: #0f8b6d }
text.ours { fill: #0b6e56; font-weight: 600 }
.range { stroke: #1f2328; stroke-opacity: .55; stroke-width: 1.2 }
@media (prefers-color-scheme: dark) {
  .page { fill: #0d1117; stroke: #30363d }
  text { fill: #9198a1 }
  .title, .panel { fill: #f0f6fc }
  .bar { fill: #4a535e }
  .native { fill: #6e7f94 }
  .ours { fill: #2bb894 }
  text.ours { fill: #4ad6b2 }
  .range { stroke: #f0f6fc }
}
"""


def draw(report: Report) -> str:
    """Return the picture as SVG."""
    rows = [(peer, title) for peer, title in SHOWN if peer in report.figures]
    panel_height = 34 + STEP * len(rows) + 22
    lines = (len(PANELS) + 1) // 2
    height = HEAD + lines * panel_height + 70
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        "<title>What a WebSocket relay costs: CPU, delay and memory, side by side</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="page" x=".5" y=".5" width="{WIDTH - 1}" height="{height - 1}" rx="10"/>',
        _text(MARGIN, 42, "What a relay costs, side by side", "title"),
        _text(MARGIN, 66, _subtitle(report)),
    ]
    for index, panel in enumerate(PANELS):
        x = MARGIN + index % 2 * (PANEL_WIDTH + MARGIN)
        y = HEAD + index // 2 * panel_height
        parts += _panel(report, panel, rows, x, y)
    machine, measured = versions(report)
    footnote = f"{machine}, {report.date} · * compact frames alone"
    parts.append(_text(MARGIN, height - 42, footnote, "small"))
    parts.append(_text(MARGIN, height - 24, measured, "small"))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _subtitle(report: Report) -> str:
    return (
        f"Shorter is better. Medians of {rounds_of(report)}, the line is "
        "lowest to highest. One core for the relay; nginx and HAProxy look at no message."
    )


def _panel(report: Report, panel: Panel, rows: list[tuple[str, str]], x: int, y: int) -> list[str]:
    spreads = {peer: report.get(peer, panel.figure) for peer, _ in rows}
    longest = max((spread.high for spread in spreads.values() if spread), default=1)
    parts = [_text(x, y + 20, panel.title, "panel")]
    for index, (peer, title) in enumerate(rows):
        top = y + 34 + index * STEP
        kind = {
            "gateway": "ours",
            "gateway-history": "ours",
            "nginx": "native",
            "haproxy": "native",
        }.get(peer, "bar")
        name = "ours" if kind == "ours" else ""
        parts.append(_text(x, top + BAR - 2, title, name))
        spread, start = spreads[peer], x + LABEL
        if spread is None:
            parts.append(_text(start, top + BAR - 2, "not measured", "small"))
            continue
        scale = LONGEST / longest if longest > 0 else 0
        bar = max(1.5, spread.median * scale)
        middle = top + BAR / 2
        low, high = (start + max(0, value) * scale for value in (spread.low, spread.high))
        parts.append(
            f'<rect class="{kind}" x="{start}" y="{top}" width="{bar:.1f}" height="{BAR}" rx="2"/>'
        )
        parts.append(
            f'<line class="range" x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}"/>'
        )
        value = f"{spread.median:.{panel.digits}f} {panel.unit}"
        end = max(start + bar, high) + 6
        parts.append(_text(end, top + BAR - 2, value, f"value {name}".strip()))
    return parts


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    attribute = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.0f}" y="{y:.0f}"{attribute}>{escape(text)}</text>'
