"""Runs tests that prove a promise, in a process of their own, and counts them by name."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING

from tests.proof.report import ROOT
from tests.support.gateway import clean_environment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.proof.report import Result


def run(tests: Sequence[str], seconds: float, result: Result) -> None:
    """Run tests within some seconds; each that does not pass is a loss, a skipped one, too."""
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report.xml"
        options = ["-q", "-p", "no:cacheprovider", f"--junit-xml={report}", "-m", ""]
        environment = clean_environment() | {"PATH": os.environ["PATH"]}
        try:
            done = subprocess.run(
                [sys.executable, "-m", "pytest", *options, *tests],
                cwd=ROOT,
                env=environment,
                capture_output=True,
                text=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            result.unfinished.append(f"not within {seconds:.0f} s: {' '.join(tests)}")
            return
        if not report.exists():
            result.lose(f"pytest ended with {done.returncode}: {done.stdout[-300:]}")
            return
        before = result.lost
        _count(report, result)
        if done.returncode and result.lost == before:
            result.lose(f"pytest ended with {done.returncode}: {done.stdout[-300:]}")


def _count(report: Path, result: Result) -> None:
    for case in ET.parse(report).getroot().iter("testcase"):  # noqa: S314 - pytest's own
        name = f"{case.get('classname', '')}::{case.get('name')}"
        failure = next(
            (
                case.find(kind)
                for kind in ("failure", "error", "skipped")
                if case.find(kind) is not None
            ),
            None,
        )
        if failure is None:
            result.add("tests passed")
        else:
            result.lose(f"{name}: {failure.tag}: {failure.get('message', '')[:300]}")
