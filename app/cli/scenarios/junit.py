"""JUnit XML, as CI systems read it: one suite a file, one case a scenario."""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

from app.cli.scenarios.report import differences_of, rate_of

if TYPE_CHECKING:
    from app.cli.scenarios.report import Played
    from app.cli.terminal import Style

# What XML 1.0 §2.2 does not let a document hold, not even as a reference.
UNHELD: Final = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(all_played: list[Played], plain: Style) -> bytes:
    """The report of a test run; `plain` is a style without colours."""
    root = ET.Element("testsuites", {"name": "blackbox-relay test"} | _sums(all_played))
    for path, group in groupby(all_played, lambda played: played.loaded.path):
        found = list(group)
        suite = ET.SubElement(root, "testsuite", {"name": _held(str(path))} | _sums(found))
        for played in found:
            _case(suite, played, plain)
    ET.indent(root)
    text: str = ET.tostring(root, encoding="unicode")
    return f"<?xml version='1.0' encoding='utf-8'?>\n{text}\n".encode()


def _sums(all_played: list[Played]) -> dict[str, str]:
    return {
        "tests": str(len(all_played)),
        "failures": str(sum(not played.held for played in all_played)),
        "errors": "0",
        "skipped": "0",
        "time": f"{sum(played.seconds for played in all_played):.3f}",
    }


def _case(suite: ET.Element, played: Played, plain: Style) -> None:
    case = ET.SubElement(
        suite,
        "testcase",
        name=_held(played.loaded.name),
        classname=_held(played.loaded.path.stem),
        time=f"{played.seconds:.3f}",
    )
    text = _held("\n".join(differences_of(played, plain)))
    if not played.held:
        _, run = played.failed_runs[0]
        first = run.differences[0]
        message = f"{first.where}: expected {first.mismatch.expected}"
        failure = ET.SubElement(case, "failure", message=_held(message), type="difference")
        failure.text = text
    if len(played.runs) > 1:
        output = ET.SubElement(case, "system-out")
        output.text = _held(f"{rate_of(played)}\n{text if played.held else ''}")


def _held(text: str) -> str:
    return UNHELD.sub("\ufffd", text)
